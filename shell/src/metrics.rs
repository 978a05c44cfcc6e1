//! Writes the Prometheus text format. Own code because the names that operators' dashboards use have to stand exactly as
//! they are: the usual library appends `_total` to counters.

use std::fmt::{Display, Write};

use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::config::last_reload_successful;
use crate::log::elasticsearch::shipping_figures;
use crate::log::lost_log_lines;

/// What a metric is.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Either, by label.
    Untyped,
}

/// A page in the making.
#[derive(Debug, Default)]
pub struct Exposition(String);

impl Exposition {
    /// A metric with one value.
    pub fn single(&mut self, kind: Kind, name: &str, help: &str, value: impl Display) {
        self.head(kind, name, help);
        self.sample(name, &[], value);
    }

    /// A metric with labelled values.
    pub fn labelled<'a, V: Display>(
        &mut self,
        kind: Kind,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Vec<(&'a str, &'a str)>, V)>,
    ) {
        self.head(kind, name, help);
        for (labels, value) in samples {
            self.sample(name, &labels, value);
        }
    }

    /// The resident memory of the process as a gauge, where the system tells it.
    pub fn resident_memory(&mut self, name: &str) {
        if let Some(bytes) = resident_memory_bytes() {
            self.single(Kind::Gauge, name, "Resident memory of the process.", bytes);
        }
    }

    /// Whether what changed of the configuration could be taken over; the name begins with `prefix`.
    pub fn config(&mut self, prefix: &str) {
        let help = "1 unless the configuration, or a file that it names, has changed and can't be used.";
        let name = format!("{prefix}_config_last_reload_successful");
        self.single(Kind::Gauge, &name, help, u8::from(last_reload_successful()));
    }

    /// What became of log lines; the names begin with `prefix`.
    pub fn log(&mut self, prefix: &str) {
        let name = |rest: &str| format!("{prefix}_{rest}");
        let shipping = shipping_figures();
        let help = "Log lines that standard output, a file or Elasticsearch never got: full, slow, gone, or they were refused.";
        self.single(Kind::Counter, &name("lost_log_lines_total"), help, lost_log_lines());
        let results = [("stored", shipping.stored), ("refused", shipping.refused), ("dropped", shipping.lost)];
        let samples = results.map(|(result, count)| (vec![("result", result)], count));
        let help =
            "Log lines for Elasticsearch, by what became of them; dropped: no room in the queue, or spoilt there.";
        self.labelled(Kind::Counter, &name("elasticsearch_lines_total"), help, samples);
        let help = "Answers of Elasticsearch that were errors, of a request or of lines in it.";
        self.single(Kind::Counter, &name("elasticsearch_errors_total"), help, shipping.errors);
        let help = "1 when the last attempt to reach Elasticsearch failed.";
        self.single(Kind::Gauge, &name("elasticsearch_unreachable"), help, u8::from(shipping.unreachable));
        let help = "Bytes of log lines that wait for Elasticsearch.";
        self.single(Kind::Gauge, &name("elasticsearch_queue_bytes"), help, shipping.waiting_bytes);
    }

    /// The page.
    pub fn finish(self) -> String {
        self.0
    }

    fn head(&mut self, kind: Kind, name: &str, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Untyped => "untyped",
        };
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        if labels.is_empty() {
            return self.line(format_args!("{name} {value}"));
        }
        let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escape(value))).collect();
        self.line(format_args!("{name}{{{}}} {value}", labels.join(",")));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").expect("writing to a string can't fail");
    }
}

impl IntoResponse for Exposition {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], self.finish()).into_response()
    }
}

/// From `/proc/self/statm`: resident memory in pages.
fn resident_memory_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_have_help_type_and_escaped_labels() {
        let mut page = Exposition::default();
        page.single(Kind::Gauge, "a", "What a is.", 3);
        page.labelled(Kind::Counter, "b", "What b is.", [(vec![("x", "say \"hi\"\\")], 1.5)]);
        assert_eq!(
            page.finish(),
            "# HELP a What a is.\n# TYPE a gauge\na 3\n# HELP b What b is.\n# TYPE b counter\nb{x=\"say \\\"hi\\\"\\\\\"} 1.5\n"
        );
    }
}
