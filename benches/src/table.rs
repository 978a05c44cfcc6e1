//! The table that a run ends with.

use std::fmt;

/// Rows in the order of their measurement.
#[derive(Debug, Default)]
pub struct Table {
    calls: Vec<String>,
    rows: Vec<String>,
}

impl Table {
    /// Processor time of a call-second in milliseconds, beside the two parts of its floor.
    pub fn call(&mut self, name: &str, count: usize, cpu: f64, udp: f64, work: f64, lost: f64) {
        let least = udp + work;
        self.calls.push(format!(
            "| {name} | {count} | {cpu:.2} | {udp:.2} | {work:.2} | {:.2} | {:.2} | {:.3} % |",
            cpu - work,
            cpu / least,
            lost * 100.0
        ));
    }

    /// Any other figure.
    pub fn row(&mut self, what: String, value: f64, unit: &str, aim: &str) {
        self.rows.push(format!("| {what} | {value:.1} | {unit} | {aim} |"));
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.calls.is_empty() {
            writeln!(f, "| mode | calls | CPU | UDP loop | codec + SRTP | above codec + SRTP | CPU / floor | lost |")?;
            writeln!(f, "|---|---:|---:|---:|---:|---:|---:|---:|")?;
            self.calls.iter().try_for_each(|row| writeln!(f, "{row}"))?;
            writeln!(f, "\nCPU in ms for each second of a call, of the gateway's process alone.\n")?;
        }
        if !self.rows.is_empty() {
            writeln!(f, "| what | figure | unit | aim |")?;
            writeln!(f, "|---|---:|---|---:|")?;
            self.rows.iter().try_for_each(|row| writeln!(f, "{row}"))?;
        }
        Ok(())
    }
}
