//! A certificate that is renewed while the server runs.

mod common;

use common::{PATIENCE, get, start_with};
use shell::program::Service;
use shell::testing::{CertificateFiles, connect_tls};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_see_a_renewed_certificate_without_a_signal() {
    let files = CertificateFiles::new("wst-renewed");
    let first = files.renew_for_days(3);
    let server = start_with(|config| config.tls = Some(files.tls())).await;
    let address = server.listen[0];
    connect_tls(address, &first).await.expect("it is in force");
    let http = server.http.expect("it is configured");
    let page = tokio::task::spawn_blocking(move || get(http, "/metrics")).await.expect("it doesn't panic");
    assert!(page.contains("\nwst_certificate_expiry_timestamp_seconds{section=\"tls\"} "), "{page}");
    let ready = async || tokio::task::spawn_blocking(move || get(http, "/ready")).await.expect("it doesn't panic");
    let said = ready().await;
    let note = "\"notes\":[\"tls: the certificate runs out in 2 days\"]";
    assert!(said.starts_with("HTTP/1.1 200") && said.contains(note), "{said}");
    let second = files.renew();
    let taken_over = async {
        while connect_tls(address, &second).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, taken_over).await.expect("the files are looked after");
    assert!(!ready().await.contains("notes"), "the new one is good for long");
    connect_tls(address, &first).await.expect_err("it isn't shown any more");
    server.stop().await.expect("nothing broke");
}
