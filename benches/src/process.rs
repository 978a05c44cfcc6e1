//! The gateway under test: the release binary as a process of its own, and what the system says about it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use webrtc_sip_core::codec::CodecKind;
use webrtc_sip_core::crypto::{CryptoProvider, DtlsCertificate};

use crate::proc;

const START_TIMEOUT: Duration = Duration::from_secs(10);
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// How a gateway is configured.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Users `u0` to `u{users - 1}`, each with its name as password.
    pub users: usize,
    /// What browsers may use.
    pub browser_codecs: Vec<CodecKind>,
    /// What phones may use.
    pub sip_codecs: Vec<CodecKind>,
    /// Where every number that is no user's goes.
    pub phones: SocketAddr,
    /// TLS on the HTTP listener.
    pub tls: bool,
}

/// A running gateway. Dropping it kills it.
#[derive(Debug)]
pub struct GatewayProcess {
    child: Child,
    folder: PathBuf,
    /// Signalling.
    pub http: SocketAddr,
    /// SIP over UDP.
    pub sip: SocketAddr,
    /// Whether `http` speaks TLS.
    pub tls: bool,
    metrics: SocketAddr,
}

/// What the process holds.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Resident bytes.
    pub resident: u64,
}

impl GatewayProcess {
    /// Starts the `webrtc-sip-gateway` that was built beside this program and waits until it is ready.
    pub fn start(setup: &Setup) -> Self {
        let binary = std::env::current_exe().expect("this program is a file").with_file_name("webrtc-sip-gateway");
        assert!(binary.exists(), "{} is missing: cargo build --release --package gateway-bin", binary.display());
        let [http, metrics, sip] = free_ports();
        let folder = std::env::temp_dir().join(format!("wsg-bench-{}-{}", std::process::id(), sip.port()));
        fs::create_dir_all(&folder).expect("there is room for temporary files");
        let file = folder.join("gateway.toml");
        let mut text = configuration(setup, [http, metrics, sip]);
        if setup.tls {
            let pem = folder.join("tls.pem");
            let certificate = DtlsCertificate::generate(&CryptoProvider::system(), SystemTime::now());
            fs::write(&pem, certificate.expect("a certificate can be made").to_pem().as_bytes())
                .expect("it is writable");
            let pem = pem.display();
            write!(text, "\n[http.tls]\ncertificate = \"{pem}\"\nkey = \"{pem}\"\n").expect("strings grow");
        }
        fs::write(&file, text).expect("the folder is writable");
        let child = Command::new(binary)
            .arg("--config")
            .arg(&file)
            .stdout(Stdio::null())
            .spawn()
            .expect("the gateway can be executed");
        let mut gateway = GatewayProcess { child, folder, http, sip, tls: setup.tls, metrics };
        gateway.wait_until_ready();
        gateway
    }

    fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + START_TIMEOUT;
        while TcpStream::connect(self.metrics).is_err() || TcpStream::connect(self.http).is_err() {
            let ended = self.child.try_wait().expect("it is our child");
            assert!(ended.is_none() && Instant::now() < deadline, "the gateway didn't start: {ended:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Processor time of all its threads so far, user and system.
    pub fn cpu(&self) -> Duration {
        proc::cpu(self.pid())
    }

    /// Resident memory.
    pub fn memory(&self) -> Memory {
        Memory { resident: proc::resident(self.pid()) }
    }

    /// Open file descriptors.
    pub fn descriptors(&self) -> usize {
        proc::descriptors(self.pid())
    }

    /// Its metrics by name and labels.
    pub fn metrics(&self) -> BTreeMap<String, f64> {
        let mut stream = TcpStream::connect(self.metrics).expect("the metrics are served");
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.metrics);
        stream.write_all(request.as_bytes()).expect("the request is short");
        let mut page = String::new();
        stream.read_to_string(&mut page).expect("the metrics are text");
        let samples = page.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
        samples.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
    }

    /// Ends it as an operator would and says whether it ended well.
    pub fn stop(mut self) -> bool {
        let pid = rustix::process::Pid::from_child(&self.child);
        if rustix::process::kill_process(pid, rustix::process::Signal::TERM).is_err() {
            return false;
        }
        let deadline = Instant::now() + STOP_TIMEOUT;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return status.success();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

impl Drop for GatewayProcess {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn free_ports() -> [SocketAddr; 3] {
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("loopback has free ports"));
    listeners.map(|listener| listener.local_addr().expect("it is bound"))
}

fn configuration(setup: &Setup, [http, metrics, sip]: [SocketAddr; 3]) -> String {
    let names = |codecs: &[CodecKind]| {
        let names: Vec<String> = codecs.iter().map(|codec| codec.encoding_name().to_lowercase()).collect();
        format!("{names:?}")
    };
    let (browser, phones) = (names(&setup.browser_codecs), names(&setup.sip_codecs));
    let target = setup.phones;
    let mut text = format!(
        "metrics = {{ listen = \"{metrics}\" }}\n\
         media = {{ listen = [\"127.0.0.1\"], webrtc_port = 0, workers = 1, browser_codecs = {browser}, \
         sip_codecs = {phones} }}\n\
         log = {{ level = \"warn\" }}\n\
         shutdown = {{ drain_seconds = 2 }}\n\
         turn = {{ listen = [] }}\n\
         [sip]\nlisten = [\"{sip}\"]\n\
         [[sip.routes]]\nprefix = \"\"\ntarget = \"{target}\"\n"
    );
    for user in 0..setup.users {
        write!(text, "[[users]]\nname = \"u{user}\"\npassword = \"u{user}\"\n").expect("strings grow");
    }
    write!(text, "[http]\nlisten = \"{http}\"\n").expect("strings grow");
    text
}
