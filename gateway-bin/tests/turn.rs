//! The TURN server inside the gateway: who may use it, whom it reaches, and where its figures are.

mod common;
#[path = "../../turn-bin/tests/common/client.rs"]
#[allow(dead_code)]
mod turn_client;

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use common::client::{Client, credentials, offer};
use common::metrics::Metrics;
use common::{PATIENCE, config, http, start_with};
use gateway_bin::Running;
use gateway_bin::config::{Config, Turn};
use serde_json::{Value, json};
use shell::testing::check_with_promtool;
use webrtc_sip_core::io::PacketBuf;
use webrtc_sip_core::stun::{Attribute, Class, IntegrityAlgorithm, Message, MessageWriter, Method, TransactionId};
use webrtc_sip_core::turn::time_limited_credentials;

/// Attributes of ICE (RFC 8445 section 16.1).
const PRIORITY: Attribute = Attribute(0x0024);
const ICE_CONTROLLING: Attribute = Attribute(0x802a);

/// A TURN client with what a sign-in told.
fn told(response: &Value, gateway: &Running) -> turn_client::Client {
    let server = &response["result"]["iceServers"][0];
    let address = gateway.turn[0];
    let urls = ["udp", "tcp"].map(|transport| format!("turn:{address}?transport={transport}"));
    assert_eq!(server["urls"], json!(urls), "{response}");
    let text = |name: &str| server[name].as_str().expect("it is text");
    turn_client::Client::udp(address).user(text("username"), text("credential"))
}

/// The value of the SDP's first attribute of this name.
fn attribute<'a>(sdp: &'a str, name: &str) -> &'a str {
    let mut values = sdp.lines().filter_map(|line| line.strip_prefix("a=")?.strip_prefix(name)?.strip_prefix(':'));
    values.next().unwrap_or_else(|| panic!("no {name}: {sdp}"))
}

/// Where the gateway takes the call's media.
fn media(answer: &str) -> SocketAddr {
    let candidate: Vec<&str> = attribute(answer, "candidate").split(' ').collect();
    format!("{}:{}", candidate[4], candidate[5]).parse().expect("it is an address")
}

/// The connectivity check of a browser that made [`offer`].
fn check(answer: &str) -> Vec<u8> {
    let mut slot = [0; 500];
    let mut packet = PacketBuf::empty(&mut slot, 0);
    let written = MessageWriter::new(&mut packet, Class::Request, Method::BINDING, TransactionId([7; 12])).and_then(
        |mut writer| {
            writer
                .put_text(Attribute::USERNAME, &format!("{}:abcd", attribute(answer, "ice-ufrag")))?
                .put_u32(PRIORITY, 1)?
                .put(ICE_CONTROLLING, &[7; 8])?
                .sign(IntegrityAlgorithm::Sha1, attribute(answer, "ice-pwd").as_bytes())?
                .fingerprint()
                .map(drop)
        },
    );
    written.expect("it fits");
    packet.as_slice().to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_signed_in_is_relayed_to_the_gateway_s_own_media_and_to_nothing_beside_them() {
    let gateway = start_with(|config| config.media.listen = vec![Ipv4Addr::LOCALHOST.into()]).await;
    let mut client = Client::connect(gateway.http).await;
    let mut relayed = told(&client.request("session.signIn", credentials("1001")).await, &gateway);
    relayed.allocate().expect("who signed in may");
    let created = client.request("call.create", json!({ "to": "echo", "sdp": offer() })).await;
    let answer = created["result"]["sdp"].as_str().unwrap_or_else(|| panic!("{created}"));
    let beside = UdpSocket::bind("127.0.0.1:0").expect("there is a free port");
    let public = "8.8.8.8:53".parse().expect("it is an address");
    for refused in [beside.local_addr().expect("it is bound"), gateway.sip[0], gateway.http, gateway.turn[0], public] {
        assert_eq!(relayed.bind(refused), Err(403), "{refused}");
    }
    relayed.bind(media(answer)).expect("it is the gateway's own");
    let response = relayed.ask(&check(answer));
    assert_eq!(Message::parse(&response).expect("it is a message").class(), Class::Success);

    assert_eq!(turn_client::Client::udp(gateway.turn[0]).allocate(), Err(401), "nobody knows alice");
    let page = http(gateway.metrics, "GET /metrics HTTP/1.1", "").await;
    check_with_promtool(page.split_once("\r\n\r\n").expect("a whole response").1, "wst_");
    assert_eq!(Metrics::read(gateway.metrics).await.get("wst_relay_sockets"), 1.0);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prolonged_sign_in_has_new_credentials() {
    let gateway = start_with(|_| {}).await;
    let mut client = Client::sign_in(gateway.http, "1001").await;
    let mut relayed = told(&client.request("session.refresh", json!({})).await, &gateway);
    relayed.allocate().expect("who signed in may");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_elsewhere_take_the_place_of_the_own_one() {
    let gateway = start_with(|config| {
        config.turn.listen.clear();
        config.turn.urls = vec!["turns:turn.example.com:443?transport=tcp".to_owned()];
        config.turn.secret = Some("shared".into());
    })
    .await;
    assert!(gateway.turn.is_empty());
    let mut client = Client::connect(gateway.http).await;
    let response = client.request("session.signIn", credentials("1001")).await;
    let server = &response["result"]["iceServers"][0];
    assert_eq!(server["urls"], json!(["turns:turn.example.com:443?transport=tcp"]), "{response}");
    assert!(server["username"].as_str().is_some_and(|user| user.ends_with(":1001")), "{response}");
    let page = http(gateway.metrics, "GET /metrics HTTP/1.1", "").await;
    assert!(!page.contains("wst_"), "{page}");
    gateway.stop().await;
}

/// The user name and password of a sign-in.
async fn credential(client: &mut Client) -> (String, String) {
    let response = client.request("session.refresh", json!({})).await;
    let server = &response["result"]["iceServers"][0];
    let text = |name: &str| server[name].as_str().unwrap_or_else(|| panic!("{response}")).to_owned();
    (text("username"), text("credential"))
}

/// Whether this secret made it.
fn made_with(secret: &str, (username, password): &(String, String)) -> bool {
    let (expiry, user) = username.split_once(':').expect("a time and a name");
    let made = time_limited_credentials(secret, user, expiry.parse().expect("it is a time"));
    made == (username.clone(), password.clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_of_the_secret_before_are_still_good() {
    let with = |secret: &str| Config { turn: Turn { secret: Some(secret.into()), ..config().turn }, ..config() };
    let gateway = start_with(|config| *config = with("first")).await;
    let mut client = Client::sign_in(gateway.http, "1001").await;
    let mut made = vec![credential(&mut client).await];
    for (secret, good) in [("second", [true, true].as_slice()), ("third", &[false, true, true])] {
        assert!(!made_with(secret, made.last().expect("there is one")));
        gateway.reload(&with(secret)).await;
        let newest = credential(&mut client).await;
        assert!(made_with(secret, &newest), "{newest:?}");
        made.push(newest);
        for ((user, password), good) in made.iter().zip(good) {
            let allocated = turn_client::Client::udp(gateway.turn[0]).user(user, password).allocate();
            assert_eq!(allocated.is_ok(), *good, "{secret} {allocated:?}");
        }
    }
    gateway.stop().await;
}
