//! Requests to `_bulk` and what their answers mean, without a connection.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::json;

/// Of what a server says of itself, so much is passed on.
const MAX_REASON_CHARS: usize = 200;

/// How often documents that may not be written are sent where no other is taken: over most of an hour with the pauses in
/// between, in which somebody can put it right.
const MAX_ATTEMPTS: u32 = 100;

/// What is asked for of the answer: one entry for each document would have its names, versions and shards else.
pub(super) const QUERY: &str = "filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason";

/// A document that isn't settled, and the action that goes before it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    action: String,
    document: Vec<u8>,
}

/// Documents on their way, and how many of them go into a request.
#[derive(Debug, Default)]
pub(super) struct Batch {
    entries: VecDeque<Entry>,
    /// Fewer than all after a request was too large.
    portion: usize,
    /// How many answers said that some of them may not be written.
    forbidden: u32,
}

/// What became of a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Documents that are there now.
    pub(super) stored: u64,
    /// Documents that will never be, and why the first of them won't.
    pub(super) refused: u64,
    pub(super) reason: Option<String>,
    /// Why the rest has to wait.
    pub(super) trouble: Option<Trouble>,
}

/// Why a request brought nothing, for now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    /// There is no answer.
    #[error("can't be reached: {0}")]
    Unreachable(String),
    /// The answer is an error, of the whole request or of some documents.
    #[error("answers {status}: {reason}")]
    Answer { status: u16, reason: String },
}

impl Trouble {
    /// Whether it is Elasticsearch that answered, or at least somebody who is in touch with it.
    pub(super) fn is_unreachable(&self) -> bool {
        // What a proxy in front of it says when nobody is behind.
        matches!(self, Trouble::Unreachable(_) | Trouble::Answer { status: 502..=504, .. })
    }

    /// Whether it is the same for those who read about it.
    pub(super) fn is_like(&self, other: &Trouble) -> bool {
        match (self, other) {
            (Trouble::Answer { status: one, .. }, Trouble::Answer { status: other, .. }) => one == other,
            (Trouble::Unreachable(_), Trouble::Unreachable(_)) => true,
            _ => false,
        }
    }
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "@timestamp", borrow)]
    timestamp: Cow<'a, str>,
    #[serde(rename = "event.id", borrow)]
    id: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Answer {
    items: Vec<BTreeMap<String, Item>>,
}

#[derive(Deserialize)]
struct Item {
    status: u16,
    error: Option<Problem>,
}

impl Item {
    fn is_stored(&self) -> bool {
        // A conflict: it came there before, and only the answer was lost.
        matches!(self.status, 200..=299 | 409)
    }

    /// Who may write and where to can be put right, if it is wrong for everything.
    fn is_forbidden(&self) -> bool {
        matches!(self.status, 401 | 403 | 404)
    }

    /// An overload or a failure of the server passes.
    fn is_put_off(&self) -> bool {
        matches!(self.status, 408 | 429 | 500..)
    }
}

#[derive(Deserialize)]
struct Problem {
    #[serde(rename = "type")]
    kind: String,
    reason: Option<String>,
}

impl Problem {
    fn text(&self) -> String {
        shorten(&format!("{}: {}", self.kind, self.reason.as_deref().unwrap_or_default()))
    }
}

impl Batch {
    /// Begins with documents, one a line, for the index of the day that each is of. Returns how many are no documents.
    pub(super) fn begin(&mut self, lines: Vec<Vec<u8>>, index: &str) -> u64 {
        let all = lines.len();
        self.entries = lines.into_iter().filter_map(|document| entry(document, index)).collect();
        self.portion = self.entries.len();
        self.forbidden = 0;
        (all - self.portion) as u64
    }

    /// Whether nothing is left of it.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What to send.
    pub(super) fn request(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for entry in self.entries.iter().take(self.portion) {
            body.extend_from_slice(entry.action.as_bytes());
            body.extend_from_slice(&entry.document);
        }
        body
    }

    /// Keeps what has to be sent again.
    pub(super) fn handle_answer(&mut self, status: StatusCode, body: &[u8]) -> Outcome {
        let trouble = || Trouble::Answer { status: status.as_u16(), reason: reason(body) };
        match status {
            StatusCode::OK => self.handle_items(body),
            // For the server, or for a proxy in front of it.
            StatusCode::PAYLOAD_TOO_LARGE if self.sent() > 1 => {
                self.portion = self.sent() / 2;
                Outcome::default()
            }
            StatusCode::PAYLOAD_TOO_LARGE => {
                self.entries.pop_front();
                self.portion = self.entries.len();
                Outcome { refused: 1, reason: Some(trouble().to_string()), ..Outcome::default() }
            }
            // Credentials and addresses can be put right, and an overload passes. 400 too: documents are judged one by one,
            // so it is somebody else who says it, of HTTP where TLS is expected for example.
            _ => Outcome { trouble: Some(trouble()), ..Outcome::default() },
        }
    }

    fn handle_items(&mut self, body: &[u8]) -> Outcome {
        let sent = self.sent();
        let Some(items) = items(body).filter(|items| items.len() == sent) else {
            let reason = "not the answer to a bulk request; is this Elasticsearch?".to_owned();
            return Outcome { trouble: Some(Trouble::Answer { status: 200, reason }), ..Outcome::default() };
        };
        self.forbidden += u32::from(items.iter().any(Item::is_forbidden));
        // Something is wrong with these alone, an index that is read-only by now say, and the others don't wait for them.
        let give_up = items.iter().any(Item::is_stored) || self.forbidden >= MAX_ATTEMPTS;
        let mut outcome = Outcome::default();
        let entries: Vec<Entry> = self.entries.drain(..sent).collect();
        let mut again = Vec::new();
        for (entry, item) in entries.into_iter().zip(items) {
            let text = || item.error.as_ref().map(Problem::text).unwrap_or_default();
            if item.is_stored() {
                outcome.stored += 1;
            } else if item.is_put_off() || (item.is_forbidden() && !give_up) {
                outcome.trouble.get_or_insert_with(|| Trouble::Answer { status: item.status, reason: text() });
                again.push(entry);
            } else {
                outcome.refused += 1;
                outcome.reason.get_or_insert_with(text);
            }
        }
        for entry in again.into_iter().rev() {
            self.entries.push_front(entry);
        }
        self.portion = self.entries.len();
        outcome
    }

    fn sent(&self) -> usize {
        self.portion.min(self.entries.len())
    }
}

/// What became of each document; none where this isn't the answer to a bulk request.
fn items(body: &[u8]) -> Option<Vec<Item>> {
    let answer: Answer = serde_json::from_slice(body).ok()?;
    answer.items.into_iter().map(|item| item.into_values().next()).collect()
}

/// `create`, because it takes an id once, and because data streams take nothing else.
fn entry(document: Vec<u8>, index: &str) -> Option<Entry> {
    let head: Head<'_> = serde_json::from_slice(&document).ok()?;
    let date = head.timestamp.get(..10)?.replace('-', ".");
    let action = json!({ "create": { "_index": index.replace(super::settings::DATE, &date), "_id": head.id } });
    Some(Entry { action: format!("{action}\n"), document })
}

/// Elasticsearch's own words, or what else is there, in a line.
fn reason(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Body {
        error: Problem,
    }
    match serde_json::from_slice::<Body>(body) {
        Ok(body) => body.error.text(),
        Err(_) => shorten(&String::from_utf8_lossy(&body[..body.len().min(4 * MAX_REASON_CHARS)])),
    }
}

fn shorten(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).take(MAX_REASON_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(ids: &[&str]) -> Batch {
        let document =
            |id: &&str| format!("{{\"@timestamp\":\"2026-11-22T10:00:00Z\",\"event.id\":\"{id}\"}}\n").into();
        let mut batch = Batch::default();
        assert_eq!(batch.begin(ids.iter().map(document).collect(), "logs-{date}"), 0);
        batch
    }

    fn ids(batch: &Batch) -> Vec<String> {
        let body = String::from_utf8(batch.request()).unwrap();
        let actions = body.lines().step_by(2).map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        actions.map(|action| action["create"]["_id"].as_str().unwrap().to_owned()).collect()
    }

    fn answer(statuses: &[u16]) -> Vec<u8> {
        let item = |status: &u16| match status {
            201 => json!({"create": {"status": status}}),
            _ => json!({"create": {"status": status, "error": {"type": "sort_of", "reason": "why\nnot"}}}),
        };
        json!({"errors": true, "items": statuses.iter().map(item).collect::<Vec<_>>()}).to_string().into_bytes()
    }

    #[test]
    fn a_request_has_two_lines_for_each_document() {
        assert_eq!(
            String::from_utf8(batch(&["a", "b"]).request()).unwrap(),
            concat!(
                r#"{"create":{"_id":"a","_index":"logs-2026.11.22"}}"#,
                "\n",
                r#"{"@timestamp":"2026-11-22T10:00:00Z","event.id":"a"}"#,
                "\n",
                r#"{"create":{"_id":"b","_index":"logs-2026.11.22"}}"#,
                "\n",
                r#"{"@timestamp":"2026-11-22T10:00:00Z","event.id":"b"}"#,
                "\n"
            )
        );
    }

    #[test]
    fn what_is_no_document_is_left_out_and_counted() {
        let mut batch = Batch::default();
        let lines = ["half a li\n", "{}\n", "{\"@timestamp\":\"22\",\"event.id\":\"a\"}\n"];
        assert_eq!(batch.begin(lines.map(|line| line.as_bytes().to_vec()).to_vec(), "logs"), 3);
        assert!(batch.is_empty());
    }

    #[test]
    fn each_document_is_looked_at() {
        let mut batch = batch(&["new", "busy", "wrong", "again", "down", "forbidden"]);
        let outcome = batch.handle_answer(StatusCode::OK, &answer(&[201, 429, 400, 409, 503, 403]));
        assert_eq!((outcome.stored, outcome.refused), (2, 2));
        assert_eq!(outcome.reason.unwrap(), "sort_of: why not");
        assert_eq!(outcome.trouble.unwrap().to_string(), "answers 429: sort_of: why not");
        assert_eq!(ids(&batch), ["busy", "down"]);
        let outcome = batch.handle_answer(StatusCode::OK, &answer(&[201, 201]));
        assert_eq!(outcome, Outcome { stored: 2, ..Outcome::default() });
        assert!(batch.is_empty());
    }

    #[test]
    fn what_may_not_be_written_is_tried_while_nothing_else_may_and_not_for_ever() {
        for status in [401, 403, 404] {
            let mut batch = batch(&["a", "b"]);
            let mut lasting = || batch.handle_answer(StatusCode::OK, &answer(&[status, status]));
            for _ in 1..MAX_ATTEMPTS {
                let outcome = lasting();
                assert!(matches!(outcome, Outcome { stored: 0, refused: 0, trouble: Some(_), .. }), "{outcome:?}");
            }
            let outcome = lasting();
            assert_eq!((outcome.refused, outcome.trouble), (2, None));
            assert!(batch.is_empty());
        }
        let mut batch = batch(&["overload"]);
        for _ in 0..2 * MAX_ATTEMPTS {
            batch.handle_answer(StatusCode::OK, &answer(&[429]));
        }
        assert_eq!(ids(&batch), ["overload"]);
    }

    #[test]
    fn an_error_of_the_whole_keeps_the_whole() {
        for status in [301, 400, 401, 403, 404, 429, 500, 503] {
            let mut batch = batch(&["a", "b"]);
            let status = StatusCode::from_u16(status).unwrap();
            let body = br#"{"error":{"type":"security_exception","reason":"no"},"status":0}"#;
            let outcome = batch.handle_answer(status, body);
            assert!(matches!(outcome, Outcome { stored: 0, refused: 0, trouble: Some(_), .. }), "{outcome:?}");
            assert_eq!(ids(&batch), ["a", "b"], "{status}");
            let text = outcome.trouble.unwrap().to_string();
            assert_eq!(text, format!("answers {}: security_exception: no", status.as_u16()));
        }
    }

    #[test]
    fn a_request_that_is_too_large_is_halved_down_to_the_document_that_is() {
        let mut batch = batch(&["a", "b", "c"]);
        let too_large = StatusCode::PAYLOAD_TOO_LARGE;
        assert_eq!(batch.handle_answer(too_large, b""), Outcome::default());
        assert_eq!(ids(&batch), ["a"]);
        let outcome = batch.handle_answer(too_large, b"");
        assert_eq!((outcome.refused, outcome.trouble), (1, None));
        assert_eq!(ids(&batch), ["b", "c"]);
        batch.handle_answer(too_large, b"");
        assert_eq!(batch.handle_answer(StatusCode::OK, &answer(&[201])).stored, 1);
        assert_eq!(ids(&batch), ["c"]);
    }

    #[test]
    fn an_answer_of_somebody_else_loses_nothing() {
        for body in [
            "<html>welcome</html>",
            "{}",
            r#"{"items":[{},{}]}"#,
            r#"{"items":[{"create":{"status":201}},{}]}"#,
            r#"{"items":[{"create":{"status":201}}]}"#,
        ] {
            let mut batch = batch(&["a", "b"]);
            let outcome = batch.handle_answer(StatusCode::OK, body.as_bytes());
            assert!(outcome.trouble.is_some_and(|trouble| !trouble.is_unreachable()));
            assert_eq!(ids(&batch), ["a", "b"]);
        }
    }
}
