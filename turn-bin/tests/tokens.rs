//! Access tokens against the tool that coturn has for authorization servers.
#![cfg(feature = "oauth")]

use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use webrtc_sip_core::stun::Key;
use webrtc_sip_core::turn::{AccessToken, TokenAlgorithm, TokenKey};

const TOOL: &str = "turnutils_oauth";
const SERVER: &str = "turn.example.org";
const KEY: [u8; 32] = *b"01234567890123456789012345678901";
const NONCE: [u8; 12] = *b"twelve bytes";
const MAC_KEY: [u8; 20] = *b"twenty bytes of key!";

/// What the tool says; none where it isn't installed.
fn tool(algorithm: TokenAlgorithm, flags: &[&str]) -> Option<String> {
    let (name, key) = match algorithm {
        TokenAlgorithm::A128Gcm => ("A128GCM", &KEY[..16]),
        TokenAlgorithm::A256Gcm => ("A256GCM", &KEY[..]),
    };
    let now = now().to_string();
    let output = Command::new("timeout")
        .args(["20", TOOL, "-v", "-i", SERVER, "-j", "north", "-k", &BASE64.encode(key), "-n", name])
        .args(["-l", &now, "-m", "7200"])
        .args(flags)
        .stdin(Stdio::null())
        .output()
        .expect("timeout is everywhere");
    // What timeout says when there is no such program.
    if output.status.code() == Some(127) {
        assert!(std::env::var_os("CI").is_none(), "{TOOL} is missing; it comes with coturn");
        eprintln!("skipped: {TOOL} is missing; it comes with coturn");
        return None;
    }
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is past 1970").as_secs()
}

fn key(algorithm: TokenAlgorithm) -> TokenKey {
    TokenKey::new("north", algorithm, &KEY[..algorithm.key_len()], 0..=u64::MAX).expect("it has the right length")
}

#[test]
fn what_coturn_seals_we_open() {
    for algorithm in [TokenAlgorithm::A128Gcm, TokenAlgorithm::A256Gcm] {
        let (nonce, mac_key) = (BASE64.encode(NONCE), BASE64.encode(MAC_KEY));
        let issued = now();
        let timestamp = (issued << 16).to_string();
        let flags = ["-e", "-o", &nonce, "-p", &mac_key, "-q", &timestamp, "-r", "600"];
        let Some(text) = tool(algorithm, &flags) else { return };
        let (_, rest) = text.split_once("\"access_token\":\"").expect(&text);
        let token = BASE64.decode(rest.split_once('"').expect(&text).0).expect(&text);
        let opened = key(algorithm).open(SERVER, &token, issued).expect(&text);
        assert_eq!((opened.issued, opened.lifetime_seconds, &*opened.mac_key), (issued, 600, &MAC_KEY[..]));
        assert!(key(algorithm).open("turn.example.net", &token, issued).is_err());
    }
}

#[test]
fn what_we_seal_coturn_opens() {
    for algorithm in [TokenAlgorithm::A128Gcm, TokenAlgorithm::A256Gcm] {
        let mac_key = Key::from_bytes(&MAC_KEY).expect("it is short");
        let token = AccessToken { mac_key, issued: now(), lifetime_seconds: 600 };
        let sealed = BASE64.encode(key(algorithm).seal(SERVER, NONCE, &token));
        let Some(text) = tool(algorithm, &["-d", "-t", &sealed]) else { return };
        assert!(text.contains("-=Valid token!=-"), "{text}");
        for said in ["mac key: twenty bytes of key!", &format!("unixtime: {} ", token.issued), "lifetime: 600"] {
            assert!(text.contains(said), "{said}: {text}");
        }
    }
}
