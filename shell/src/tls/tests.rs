use std::io::Write;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::*;
use crate::testing::{CertificateFiles, connect_tls};

const PATIENCE: Duration = Duration::from_secs(15);
const PERIOD: Duration = Duration::from_millis(5);
const PURPOSE: TlsPurpose = TlsPurpose { section: "tls", protocols: &[] };

/// Does handshakes until it is dropped.
async fn serve(settings: TlsSettings) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            settings.accept(stream).await;
        }
    });
    address
}

#[tokio::test]
async fn a_changed_certificate_is_taken_over_and_half_of_one_is_not() {
    let files = CertificateFiles::new("shell-tls-watch");
    let first = files.renew();
    let settings = TlsSettings::load(PURPOSE, &files.tls()).unwrap();
    let mut identities = settings.identities();
    let address = serve(settings.clone()).await;
    tokio::spawn(settings.clone().watch_every(PERIOD));
    connect_tls(address, &first).await.expect("it is the one that was loaded");

    // A certificate that breaks off, and one whose key isn't there yet.
    let whole = std::fs::read(files.tls().certificate).unwrap();
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.pem();
    for content in [&whole[..whole.len() / 2], other.as_bytes()] {
        let seen = settings.files.lock().unwrap().seen;
        std::fs::File::create(files.tls().certificate).unwrap().write_all(content).unwrap();
        let looked_at = async {
            while settings.files.lock().unwrap().seen == seen {
                tokio::time::sleep(PERIOD).await;
            }
        };
        tokio::time::timeout(PATIENCE, looked_at).await.expect("it is looked at");
        connect_tls(address, &first).await.expect("the old one stays");
    }
    assert!(!identities.has_changed().unwrap());

    let second = files.renew();
    tokio::time::timeout(PATIENCE, identities.changed()).await.expect("in time").unwrap();
    assert_eq!(identities.borrow_and_update().chain.first(), Some(&second));
    connect_tls(address, &second).await.expect("it is in force");
    connect_tls(address, &first).await.expect_err("it is no longer");
}

#[test]
fn files_that_do_not_change_are_tried_once() {
    let files = CertificateFiles::new("shell-tls-once");
    files.renew();
    let settings = TlsSettings::load(PURPOSE, &files.tls()).unwrap();
    let mut identities = settings.identities();
    settings.look();
    assert!(!identities.has_changed().unwrap(), "they are as they were");
    std::fs::remove_file(files.tls().key).unwrap();
    settings.look();
    assert_eq!(settings.files.lock().unwrap().seen, None);
    settings.reload(&files.tls());
    assert!(!identities.has_changed().unwrap());
    files.renew();
    settings.look();
    assert!(identities.has_changed().unwrap());
    identities.mark_unchanged();
    settings.look();
    assert!(!identities.has_changed().unwrap());
}

#[test]
fn what_two_have_in_common_is_said_once() {
    let [common, own] = ["shell-tls-common", "shell-tls-own"].map(CertificateFiles::new);
    common.renew_for_days(3);
    own.renew_for_days(3);
    let page = TlsSettings::load(PURPOSE, &common.tls()).unwrap();
    let purpose = TlsPurpose { section: "turn.tls", ..PURPOSE };
    let relay = TlsSettings::load(purpose, &common.tls()).unwrap().beside(&page);
    let mut certificates = CertificatesInUse::default();
    certificates.add(&page);
    certificates.add(&relay);
    let notes = ["tls", "turn.tls"].map(|section| format!("{section}: the certificate runs out in 2 days"));
    assert_eq!(certificates.notes(), notes[..1]);
    relay.reload(&own.tls());
    assert_eq!(certificates.notes(), notes);
}
