//! What the tests of programs have in common: their processes and their certificates.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use time::OffsetDateTime;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::tls::Tls;

pub mod elasticsearch;

const PATIENCE: Duration = Duration::from_secs(15);

/// Runs a program to its end; its exit status, what it prints, what it complains about.
pub fn output(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it writes text");
    (status.code(), text(stdout), text(stderr))
}

/// The examples of settings in a manual.
pub fn toml_blocks(manual: &str) -> Vec<&str> {
    manual.split("\n```toml\n").skip(1).filter_map(|rest| Some(rest.split_once("\n```")?.0)).collect()
}

/// Sends a signal by its name, `-TERM`.
fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status().expect("kill exists");
    assert!(status.success());
}

/// A program that runs, and doesn't outlive the test.
#[derive(Debug)]
pub struct ChildGuard(Option<Child>);

impl ChildGuard {
    /// Of a program that was started.
    pub fn of(child: Child) -> Self {
        ChildGuard(Some(child))
    }

    /// Its process.
    pub fn child(&self) -> &Child {
        self.0.as_ref().expect("it runs")
    }

    /// Sends it a signal by its name, `-TERM`.
    pub fn signal(&self, name: &str) {
        signal(self.child(), name);
    }

    /// Waits for its end.
    pub fn exit_code(mut self) -> Option<i32> {
        exit_code(self.0.take().expect("it runs"))
    }

    /// Ends it by SIGTERM, which has to go well; what it has said on standard output and standard error, where they are piped.
    pub fn end(mut self) -> (String, String) {
        self.signal("-TERM");
        let child = self.0.as_mut().expect("it runs");
        let (stdout, stderr) = (read(child.stdout.take()), read(child.stderr.take()));
        let code = self.exit_code();
        let [stdout, stderr] = [stdout, stderr].map(|said| said.join().expect("it is text"));
        assert_eq!(code, Some(0), "{stderr}");
        (stdout, stderr)
    }
}

impl Drop for ChildGuard {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            // Dead or not: nothing shall be left of it.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// An address on loopback whose port is free for TCP and UDP, and handed out once. Below the ports that the system gives away
/// itself, since a test beside this one might get it from there, and at another place for each process.
pub fn free_port() -> SocketAddr {
    const PORTS: std::ops::Range<u32> = 12_000..31_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let step = std::process::id().wrapping_mul(97).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(PORTS.start + step % (PORTS.end - PORTS.start)).expect("all of them are ports");
        if !is_taken(port) {
            return SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        }
    }
}

/// Whether a socket has this port. Nothing is bound to find out: a program that another test starts at that moment would hold a
/// copy of the socket until it runs, and the port would be taken for longer than this takes.
fn is_taken(port: u16) -> bool {
    let local = format!(":{port:04X}");
    ["tcp", "tcp6", "udp", "udp6"].iter().any(|table| {
        // There are no tables of an address family that this machine hasn't.
        let sockets = std::fs::read_to_string(format!("/proc/thread-self/net/{table}")).unwrap_or_default();
        // Number and local address (proc_net_tcp in the documentation of Linux), below a headline.
        sockets
            .lines()
            .skip(1)
            .filter_map(|line| line.split_whitespace().nth(1))
            .any(|address| address.ends_with(&local))
    })
}

/// A page with its header.
///
/// # Errors
/// Nobody listens, or answers in time.
pub fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    io::read_to_string(stream)
}

/// Looks again and again until it holds.
pub fn until(mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "it doesn't hold in time");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What a program has logged so far.
#[derive(Clone, Debug)]
pub struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    /// None when it was waited for.
    reader: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Log {
    /// Of a program whose standard output is piped; it is read until it ends.
    pub fn of(child: &mut Child) -> Self {
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = lines.clone();
        let reader = std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                heard.lock().expect("nobody panics with it").push(line);
            }
        });
        Log { lines, reader: Arc::new(Mutex::new(Some(reader))) }
    }

    /// Everything, of a program that has ended.
    pub fn to_the_end(&self) -> String {
        if let Some(reader) = self.reader.lock().expect("nobody panics with it").take() {
            reader.join().expect("it has no reason to panic");
        }
        self.lines_with("").join("\n")
    }

    /// The lines with these words.
    pub fn lines_with(&self, words: &str) -> Vec<String> {
        let lines = self.lines.lock().expect("nobody panics with it");
        lines.iter().filter(|line| line.contains(words)).cloned().collect()
    }

    /// Whether there is such a line.
    pub fn says(&self, words: &str) -> bool {
        !self.lines_with(words).is_empty()
    }
}

/// `health` says whether the program runs and is ready. `program`: with its health at the address that it is given. `flags`:
/// what it needs besides to run, and `health` doesn't.
pub fn check_health(program: impl Fn(&str) -> Command, flags: &[&str]) {
    let listen = free_port().to_string();
    let health = || output(program(&listen).arg("health"));
    let (code, stdout, stderr) = health();
    assert_eq!((code, stdout.as_str(), stderr.lines().count()), (Some(1), "", 1), "{stderr}");
    assert!(stderr.contains(&listen), "{stderr}");
    let running =
        program(&listen).args(flags).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
    until(|| health().0 == Some(0));
    signal(&running, "-TERM");
    assert_eq!(exit_code(running), Some(0));
    assert_eq!(health().0, Some(1));
}

/// What the threads of a process have used of the processors so far.
pub fn cpu_of(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("it runs");
    let fields = stat.rsplit_once(')').expect("the name is in parentheses").1;
    // Fields 14 and 15, in hundredths of a second.
    let ticks = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().expect("a number"));
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

/// What a process uses of the processors to answer for `/metrics` once, and how long the answer is.
pub fn scrape_cost(process: u32, listen: SocketAddr) -> (Duration, usize) {
    const SCRAPES: u32 = 200;
    let before = cpu_of(process);
    let mut bytes = 0;
    for _ in 0..SCRAPES {
        let page = get(listen, "/metrics").expect("it answers");
        assert!(page.starts_with("HTTP/1.1 200"), "{page}");
        bytes = page.len();
    }
    ((cpu_of(process) - before) / SCRAPES, bytes)
}

/// Waits for the end; kills it when it takes too long.
fn exit_code(mut child: Child) -> Option<i32> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().expect("it is our child") {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().expect("it is our child");
    panic!("the program didn't end in time");
}

/// All that comes until the other end is closed.
fn read(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    std::thread::spawn(move || pipe.map_or_else(String::new, |pipe| io::read_to_string(pipe).expect("it is text")))
}

/// `promtool check metrics` over the names that begin with `prefix`. Skipped where there is none, which CI has.
pub fn check_with_promtool(page: &str, prefix: &str) {
    let child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(_) if std::env::var_os("CI").is_none() => return eprintln!("skipped: no promtool"),
        Err(error) => panic!("promtool: {error}"),
    };
    let is_ours = |line: &&str| line.trim_start_matches("# HELP ").trim_start_matches("# TYPE ").starts_with(prefix);
    let ours: String = page.lines().filter(is_ours).flat_map(|line| [line, "\n"]).collect();
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(ours.as_bytes()).expect("promtool reads");
    drop(stdin);
    let output = child.wait_with_output().expect("promtool ends");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}

/// A connection that trusts this certificate for `localhost` and no other.
///
/// # Errors
/// Nobody listens, or it is with another certificate.
pub async fn connect_tls(
    address: SocketAddr,
    certificate: &CertificateDer<'static>,
) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).expect("it is a certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has them")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").expect("it is a name");
    tokio::time::timeout(PATIENCE, TlsConnector::from(Arc::new(config)).connect(name, stream)).await?
}

/// A folder of files as Kubernetes mounts a ConfigMap or a Secret: each is a link into `..data`, which is a link to the
/// files themselves, and all of them change at once when that one does.
#[derive(Debug)]
pub struct MountedFiles {
    folder: PathBuf,
    versions: u32,
}

impl MountedFiles {
    /// An empty one; `name` tells it from those of other tests.
    pub fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("there is room");
        MountedFiles { folder, versions: 0 }
    }

    /// Replaces all of them.
    pub fn mount(&mut self, files: &[(&str, &str)]) {
        self.versions += 1;
        let version = format!("..version-{}", self.versions);
        std::fs::create_dir(self.folder.join(&version)).expect("it is new");
        for (name, content) in files {
            std::fs::write(self.folder.join(&version).join(name), content).expect("there is room");
            // It is there already, from the version before.
            let _ = symlink(Path::new("..data").join(name), self.folder.join(name));
        }
        symlink(&version, self.folder.join("..new")).expect("it is new");
        std::fs::rename(self.folder.join("..new"), self.folder.join("..data")).expect("it is ours");
    }

    /// Where one of them is.
    pub fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }
}

impl Drop for MountedFiles {
    fn drop(&mut self) {
        // The next run makes a folder of another name.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A certificate for `localhost` and its key, in a directory of their own.
#[derive(Debug)]
pub struct CertificateFiles(PathBuf);

impl CertificateFiles {
    /// A directory with nothing in it yet; `name` tells it from those of other tests.
    pub fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("there is room");
        CertificateFiles(directory)
    }

    /// Writes a fresh pair; returns the certificate. The key is ECDSA on P-256.
    pub fn renew(&self) -> CertificateDer<'static> {
        self.write(&rcgen::PKCS_ECDSA_P256_SHA256)
    }

    /// The same with an RSA key.
    pub fn renew_with_rsa(&self) -> CertificateDer<'static> {
        self.write(&rcgen::PKCS_RSA_SHA256)
    }

    /// As [`CertificateFiles::renew`], with so many days left; fewer than none: it has run out.
    pub fn renew_for_days(&self, days: i64) -> CertificateDer<'static> {
        self.write_until(&rcgen::PKCS_ECDSA_P256_SHA256, OffsetDateTime::now_utc() + time::Duration::days(days))
    }

    fn write(&self, algorithm: &'static rcgen::SignatureAlgorithm) -> CertificateDer<'static> {
        self.write_until(algorithm, rcgen::date_time_ymd(4096, 1, 1))
    }

    fn write_until(
        &self,
        algorithm: &'static rcgen::SignatureAlgorithm,
        not_after: OffsetDateTime,
    ) -> CertificateDer<'static> {
        let key = rcgen::KeyPair::generate_for(algorithm).expect("a key can be made");
        let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).expect("it is a name");
        params.not_after = not_after;
        let certificate = params.self_signed(&key).expect("a certificate can be made");
        std::fs::write(self.tls().certificate, certificate.pem()).expect("there is room");
        std::fs::write(self.tls().key, key.serialize_pem()).expect("there is room");
        certificate.der().clone()
    }

    /// Where they are.
    pub fn tls(&self) -> Tls {
        Tls { certificate: self.0.join("tls.crt"), key: self.0.join("tls.key") }
    }
}

impl Drop for CertificateFiles {
    fn drop(&mut self) {
        // The next run makes a directory of another name.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
