//! A log line as a document: what the line says, and who says it.

use serde_json::{Map, Value};
use webrtc_sip_core::crypto::CryptoProvider;

/// Makes documents of the lines of this process.
pub(super) struct Author {
    program: &'static str,
    instance: String,
    /// Of this run of the program, so that no other document has the same id.
    run: String,
    sequence: u64,
}

impl Author {
    pub(super) fn new(program: &'static str, instance: &str) -> Self {
        let random: [u8; 12] = CryptoProvider::system().bytes();
        let run = random.iter().map(|byte| format!("{byte:02x}")).collect();
        Author { program, instance: instance.to_owned(), run, sequence: 0 }
    }

    /// A JSON object in a line of its own. What it has besides the fields of the log line is named as in the Elastic
    /// Common Schema. The sequence tells the order of lines of the same millisecond.
    pub(super) fn document(&mut self, line: &[u8]) -> Vec<u8> {
        // The log's own lines are objects always.
        let mut fields: Map<String, Value> = serde_json::from_slice(line).unwrap_or_default();
        if let Some(time) = fields.remove("timestamp") {
            fields.insert("@timestamp".to_owned(), time);
        }
        let own = [
            ("service.name", self.program.into()),
            ("service.node.name", self.instance.as_str().into()),
            ("event.id", format!("{}-{}", self.run, self.sequence).into()),
            ("event.sequence", self.sequence.into()),
        ];
        fields.extend(own.map(|(key, value): (&str, Value)| (key.to_owned(), value)));
        self.sequence += 1;
        let mut document = Value::from(fields).to_string().into_bytes();
        document.push(b'\n');
        document
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_gets_an_id_and_an_author() {
        let mut author = Author::new("webrtc-sip-gateway", "node1");
        let line = br#"{"timestamp":"2026-11-22T10:00:00.000001Z","level":"INFO","message":"a\nb","calls":3}"#;
        let first: Value = serde_json::from_slice(&author.document(line)).unwrap();
        let second = author.document(line);
        assert_eq!(second.iter().position(|byte| *byte == b'\n'), Some(second.len() - 1), "one line");
        assert_eq!((&first["message"], &first["calls"]), (&"a\nb".into(), &3.into()));
        assert_eq!(first["@timestamp"], "2026-11-22T10:00:00.000001Z");
        assert!(first.get("timestamp").is_none());
        assert_eq!(
            (&first["service.name"], &first["service.node.name"]),
            (&"webrtc-sip-gateway".into(), &"node1".into())
        );
        let second: Value = serde_json::from_slice(&second).unwrap();
        assert_ne!(first["event.id"], second["event.id"]);
        assert_eq!((&first["event.sequence"], &second["event.sequence"]), (&0.into(), &1.into()));
        let other: Value = serde_json::from_slice(&Author::new("a", "b").document(line)).unwrap();
        assert_ne!(first["event.id"], other["event.id"], "another run");
    }
}
