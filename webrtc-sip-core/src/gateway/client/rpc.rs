//! The JSON-RPC 2.0 messages between client and gateway, as `docs/signaling.md` describes them.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::call::EndReason;

/// A request that a client made, with its parameters checked for type and presence.
#[derive(Debug, PartialEq)]
pub(crate) enum Method {
    SignIn(SignIn),
    Resume(Resume),
    Refresh,
    Heartbeat(Heartbeat),
    SignOut,
    Create(Create),
    Answer(WithSdp),
    Reject(Reject),
    HangUp(OfCall),
    Update(WithSdp),
    Candidate(Candidate),
    Hold(OfCall),
    Unhold(OfCall),
    Dtmf(Dtmf),
}

#[derive(Deserialize, PartialEq)]
pub(crate) struct SignIn {
    pub(crate) user: String,
    pub(crate) password: String,
}

impl std::fmt::Debug for SignIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SignIn(***)")
    }
}

#[derive(Debug, Deserialize, PartialEq)]
pub(crate) struct Resume {
    pub(crate) token: Option<String>,
    #[serde(default)]
    pub(crate) after: u64,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub(crate) struct Heartbeat {
    pub(crate) after: u64,
}

#[derive(Debug, Deserialize, PartialEq)]
pub(crate) struct Create {
    pub(crate) to: String,
    pub(crate) sdp: String,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WithSdp {
    pub(crate) call_id: String,
    pub(crate) sdp: String,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Reject {
    pub(crate) call_id: String,
    #[serde(default)]
    pub(crate) reason: RejectReason,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RejectReason {
    #[default]
    Declined,
    Busy,
}

impl From<RejectReason> for EndReason {
    fn from(reason: RejectReason) -> Self {
        match reason {
            RejectReason::Declined => EndReason::Rejected,
            RejectReason::Busy => EndReason::Busy,
        }
    }
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OfCall {
    pub(crate) call_id: String,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Candidate {
    pub(crate) call_id: String,
    #[serde(default)]
    pub(crate) candidate: String,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Dtmf {
    pub(crate) call_id: String,
    pub(crate) digits: String,
    #[serde(default = "default_dtmf_duration_ms")]
    pub(crate) duration_ms: u32,
    #[serde(default = "default_dtmf_gap_ms")]
    pub(crate) gap_ms: u32,
}

fn default_dtmf_duration_ms() -> u32 {
    100
}

fn default_dtmf_gap_ms() -> u32 {
    70
}

/// Declares the reasons as one table: JSON-RPC code, stable reason, the SIP status that says the same, text.
macro_rules! rpc_errors {
    ($($name:ident: $code:literal, $reason:literal, $status:expr, $text:literal;)*) => {
        /// Why a request is refused. The name is the stable `reason`; the text is for people.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(crate) enum RpcError {
            $($name,)*
        }

        impl RpcError {
            #[cfg(test)]
            const ALL: &[RpcError] = &[$(RpcError::$name,)*];

            fn row(self) -> (i32, &'static str, Option<u16>, &'static str) {
                match self {
                    $(RpcError::$name => ($code, $reason, $status, $text),)*
                }
            }
        }
    };
}

rpc_errors! {
    ParseError: -32700, "parse_error", None, "The message is not valid JSON.";
    InvalidRequest: -32600, "invalid_request", None, "The message is not a JSON-RPC 2.0 request.";
    UnknownMethod: -32601, "unknown_method", None, "There is no such method.";
    InvalidParams: -32602, "invalid_params", None, "A parameter is missing or of the wrong type.";
    NotSupported: -32000, "not_supported", None, "This gateway does not support that.";
    NotSignedIn: -32000, "not_signed_in", Some(401), "You are not signed in, or no longer.";
    WrongCredentials: -32000, "wrong_credentials", Some(403), "The user name or password is wrong.";
    AlreadySignedIn: -32000, "already_signed_in", None, "This connection is signed in already.";
    TooMany: -32000, "too_many", Some(503), "A limit is reached. Try again later.";
    Unavailable: -32000, "unavailable", Some(503), "The service is not available right now.";
    UnknownCall: -32000, "unknown_call", Some(481), "There is no such call, or it has ended.";
    WrongState: -32000, "wrong_state", None, "The call is not in a state for that.";
    BadSdp: -32000, "bad_sdp", Some(400), "The SDP cannot be understood.";
    NoAudio: -32000, "no_audio", Some(488), "The SDP has no audio.";
    NoCommonCodec: -32000, "no_common_codec", Some(488), "There is no audio format in common.";
    BadCandidate: -32000, "bad_candidate", None, "The candidate cannot be understood.";
    BadNumber: -32000, "bad_number", Some(484), "That is not a number or address.";
    UnsupportedScheme: -32000, "unsupported_scheme", Some(416), "Only sip: addresses can be called.";
    Unroutable: -32000, "unroutable", Some(404), "There is no route to that number.";
}

impl RpcError {
    /// Whether no working client sends such a message.
    pub(crate) fn is_clients_fault(self) -> bool {
        use RpcError::*;
        matches!(self, ParseError | InvalidRequest | UnknownMethod | InvalidParams | NotSignedIn)
    }

    /// The stable name.
    #[cfg(test)]
    pub(crate) fn reason(self) -> &'static str {
        self.row().1
    }

    /// The error as a whole JSON-RPC response; `id` is null where the request's couldn't be read.
    pub(crate) fn response(self, id: &Value) -> String {
        let (code, reason, sip_status, message) = self.row();
        let mut data = json!({ "reason": reason });
        if let Some(status) = sip_status {
            data["sipStatus"] = status.into();
        }
        json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message, "data": data}}).to_string()
    }
}

/// A successful response.
pub(crate) fn result(id: &Value, result: Value) -> String {
    json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string()
}

/// A notification to a client; `params` is an object.
pub(crate) fn notification(method: &str, seq: u64, mut params: Value) -> String {
    params["seq"] = seq.into();
    json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string()
}

/// A message from a client, taken apart.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// The request's id to answer with; none for a notification, which is carried out without an answer.
    pub(crate) id: Option<Value>,
    /// What is asked for, or what is wrong with it.
    pub(crate) method: Result<Method, RpcError>,
}

/// Parses one message. Never fails as a whole: what is wrong stands in `method`.
pub(crate) fn parse(text: &[u8]) -> Incoming {
    let refused = |id, error| Incoming { id: Some(id), method: Err(error) };
    let Ok(value) = serde_json::from_slice::<Value>(text) else {
        return refused(Value::Null, RpcError::ParseError);
    };
    let id = match value.get("id") {
        None => None,
        Some(id @ (Value::Null | Value::Number(_))) => Some(id.clone()),
        Some(Value::String(id)) if id.len() <= 64 => Some(id.as_str().into()),
        Some(_) => return refused(Value::Null, RpcError::InvalidRequest),
    };
    let (Some("2.0"), Some(method)) =
        (value.get("jsonrpc").and_then(Value::as_str), value.get("method").and_then(Value::as_str))
    else {
        return refused(id.unwrap_or(Value::Null), RpcError::InvalidRequest);
    };
    let params = value.get("params").cloned().unwrap_or_else(|| json!({}));
    Incoming { id, method: parse_method(method, params) }
}

type Parser = fn(Value) -> Result<Method, RpcError>;

/// The methods that clients may call, and how their parameters are read.
const METHODS: [(&str, Parser); 14] = [
    ("session.signIn", |params| typed(params).map(Method::SignIn)),
    ("session.resume", |params| typed(params).map(Method::Resume)),
    ("session.refresh", |_| Ok(Method::Refresh)),
    ("session.heartbeat", |params| typed(params).map(Method::Heartbeat)),
    ("session.signOut", |_| Ok(Method::SignOut)),
    ("call.create", |params| typed(params).map(Method::Create)),
    ("call.answer", |params| typed(params).map(Method::Answer)),
    ("call.reject", |params| typed(params).map(Method::Reject)),
    ("call.hangup", |params| typed(params).map(Method::HangUp)),
    ("call.update", |params| typed(params).map(Method::Update)),
    ("call.candidate", |params| typed(params).map(Method::Candidate)),
    ("call.hold", |params| typed(params).map(Method::Hold)),
    ("call.resume", |params| typed(params).map(Method::Unhold)),
    ("call.dtmf", |params| typed(params).map(Method::Dtmf)),
];

fn parse_method(method: &str, params: Value) -> Result<Method, RpcError> {
    match METHODS.iter().find(|(name, _)| *name == method) {
        Some((_, parse)) => parse(params),
        None if matches!(method, "call.transfer" | "call.info") => Err(RpcError::NotSupported),
        None => Err(RpcError::UnknownMethod),
    }
}

fn typed<T: DeserializeOwned>(params: Value) -> Result<T, RpcError> {
    serde_json::from_value(params).map_err(|_| RpcError::InvalidParams)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(text: &str) -> RpcError {
        parse(text.as_bytes()).method.unwrap_err()
    }

    #[test]
    fn wrong_messages_are_told_apart() {
        assert_eq!(error_of("{"), RpcError::ParseError);
        assert_eq!(error_of("[]"), RpcError::InvalidRequest);
        assert_eq!(error_of(r#"{"id":1,"method":"session.refresh"}"#), RpcError::InvalidRequest);
        assert_eq!(error_of(r#"{"jsonrpc":"2.0","id":{},"method":"session.refresh"}"#), RpcError::InvalidRequest);
        assert_eq!(error_of(r#"{"jsonrpc":"2.0","id":1,"method":"x"}"#), RpcError::UnknownMethod);
        assert_eq!(
            error_of(r#"{"jsonrpc":"2.0","id":1,"method":"call.create","params":{"to":1}}"#),
            RpcError::InvalidParams
        );
        assert_eq!(error_of(r#"{"jsonrpc":"2.0","id":1,"method":"call.transfer"}"#), RpcError::NotSupported);
    }

    #[test]
    fn requests_and_notifications_parse() {
        let request = parse(br#"{"jsonrpc":"2.0","id":"a","method":"call.dtmf","params":{"callId":"c","digits":"1"}}"#);
        assert_eq!(request.id, Some("a".into()));
        let Ok(Method::Dtmf(dtmf)) = request.method else { panic!("{request:?}") };
        assert_eq!((dtmf.duration_ms, dtmf.gap_ms), (100, 70));
        assert_eq!(parse(br#"{"jsonrpc":"2.0","method":"session.heartbeat"}"#).id, None);
    }

    #[test]
    fn errors_carry_a_reason_and_a_status() {
        let response: Value = serde_json::from_str(&RpcError::Unroutable.response(&json!(7))).unwrap();
        assert_eq!(response["id"], 7);
        assert_eq!(response["error"]["data"], json!({"reason": RpcError::Unroutable.reason(), "sipStatus": 404}));
    }

    /// The protocol's document shows every method with an example that is taken, and only methods that exist.
    #[test]
    fn documented_examples_are_understood() {
        let document = include_str!("../../../../docs/signaling.md");
        let messages: Vec<Value> = document
            .lines()
            .filter(|line| line.starts_with("{\"jsonrpc\""))
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect();
        let requests: Vec<_> = messages.iter().filter(|m| m.get("method").is_some() && m.get("id").is_some()).collect();
        for request in &requests {
            let parsed = parse(request.to_string().as_bytes());
            assert!(parsed.method.is_ok(), "{request}: {parsed:?}");
        }
        for (method, _) in METHODS {
            assert!(requests.iter().any(|request| request["method"] == method), "{method} has no example");
        }
    }

    #[test]
    fn documented_reasons_are_the_ones_in_use() {
        let document = include_str!("../../../../docs/signaling.md");
        for error in RpcError::ALL {
            assert!(document.contains(&format!("`{}`", error.reason())), "{error:?} is not documented");
        }
        for reason in EndReason::ALL {
            assert!(document.contains(&format!("`{}`", reason.name())), "{reason:?} is not documented");
        }
    }
}
