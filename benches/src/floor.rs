//! What the work costs at least: the same codecs and SRTP in a bare loop, and a bare loop of UDP sockets.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};
use webrtc_sip_core::codec::{self, CodecKind, MAX_FRAME_SAMPLES, OpusSettings};
use webrtc_sip_core::io::PacketBuf;
use webrtc_sip_core::rtp::RtpHeader;
use webrtc_sip_core::rtp::srtp::{SrtpKeys, SrtpProfile, SrtpReceiver, SrtpSender};

use crate::calls::Codecs;
use crate::speech::Speech;

/// Packets a second in one direction.
const PACKETS_A_SECOND: f64 = 50.0;
/// Seconds of sound that the bare loop goes through.
const SECONDS: usize = 60;
const TICK: Duration = Duration::from_millis(1);
const GROUPS: usize = 20;

/// Processor time of codecs and SRTP for one second of a call, both directions, in milliseconds. `profile` is what the
/// browser negotiates.
pub fn codecs_and_srtp(codecs: Codecs, profile: SrtpProfile) -> f64 {
    let (browser, phone) = (Speech::of_browser(codecs.browser), Speech::of_phone(codecs.phone));
    let mut media = codecs_of(codecs);
    let keys = SrtpKeys::new(profile, &vec![7; profile.key_len()], &vec![9; profile.salt_len()]).expect("they fit");
    let (mut theirs, mut receiver, mut ours) =
        (SrtpSender::new(&keys), SrtpReceiver::new(&keys, 1), SrtpSender::new(&keys));
    let mut spent = Duration::ZERO;
    let frames = SECONDS * PACKETS_A_SECOND as usize;
    let mut storage = [0u8; 1500];
    for frame in 0..frames {
        let header = RtpHeader { payload_type: 0, marker: false, sequence: frame as u16, timestamp: 0, ssrc: 5 };
        // What the browser does isn't ours to pay for.
        let mut packet = PacketBuf::empty(&mut storage, 0);
        header.write_packet(browser.payload(frame), &mut packet).expect("it fits");
        theirs.protect_rtp(&mut packet).expect("the index is new");
        let start = thread_cpu();
        receiver.unprotect_rtp(&mut packet).expect("it is authentic");
        let mut samples = [0; MAX_FRAME_SAMPLES];
        let mut payload = [0; 480];
        if let Some(towards_phone) = &mut media.0 {
            let count = towards_phone.0.decode(browser.payload(frame), &mut samples).expect("it decodes");
            std::hint::black_box(towards_phone.1.encode(&samples[..count], &mut payload).expect("it encodes"));
        }
        let mut sent = phone.payload(frame);
        if let Some(towards_browser) = &mut media.1 {
            let count = towards_browser.0.decode(sent, &mut samples).expect("it decodes");
            let len = towards_browser.1.encode(&samples[..count], &mut payload).expect("it encodes");
            sent = &payload[..len];
        }
        let mut packet = PacketBuf::empty(&mut storage, 0);
        header.write_packet(sent, &mut packet).expect("it fits");
        ours.protect_rtp(&mut packet).expect("the index is new");
        std::hint::black_box(packet.as_slice());
        spent += thread_cpu() - start;
    }
    spent.as_secs_f64() * 1000.0 / SECONDS as f64
}

type Coder = (Box<dyn codec::Decoder>, Box<dyn codec::Encoder>);

fn codecs_of(codecs: Codecs) -> (Option<Coder>, Option<Coder>) {
    let coder = |from: CodecKind, to: CodecKind| {
        let decoder = codec::decoder(from).expect("the codec is available");
        (decoder, codec::encoder(to, &OpusSettings::default()).expect("the default settings are valid"))
    };
    if codecs.browser == codecs.phone {
        return (None, None);
    }
    (Some(coder(codecs.browser, codecs.phone)), Some(coder(codecs.phone, codecs.browser)))
}

/// Processor time of this thread.
fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Processor time, in milliseconds a call-second, of a loop that takes each packet from one socket and sends it from
/// another, `calls` times 50 packets a second both ways, as a gateway has its sockets: one for all browsers, one for
/// each phone.
pub fn udp_loop(calls: usize, time: Duration) -> f64 {
    let bind = || {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback has free ports");
        socket.set_nonblocking(true).expect("it is a socket");
        socket
    };
    let at = |socket: &UdpSocket| socket.local_addr().expect("it is bound");
    let (shared, browsers, phones) =
        (bind(), (0..calls).map(|_| bind()).collect::<Vec<_>>(), (0..calls).map(|_| bind()).collect::<Vec<_>>());
    let ours: Vec<UdpSocket> = (0..calls).map(|_| bind()).collect();
    let (shared_at, ours_at) = (at(&shared), ours.iter().map(at).collect::<Vec<_>>());
    let looped = Looped {
        shared,
        by_browser: browsers.iter().map(at).zip(0..).collect(),
        browsers: browsers.iter().map(at).collect(),
        phones: phones.iter().map(at).collect(),
        ours,
    };
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let thread = std::thread::spawn(move || looped.run(&stopped));

    let (browser_packet, phone_packet) = ([0x80; 82], [0x80; 172]);
    let (start, mut heard, mut sent) = (Instant::now(), 0, 0);
    let mut storage = [0; 2048];
    let mut hear = |socket: &UdpSocket| {
        while socket.recv_from(&mut storage).is_ok() {
            heard += 1;
        }
    };
    let ticks = (time.as_millis() / TICK.as_millis()) as usize;
    for tick in 0..ticks {
        let due = start + TICK * tick as u32;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        for call in (tick % GROUPS..calls).step_by(GROUPS) {
            browsers[call].send_to(&browser_packet, shared_at).expect("loopback takes it");
            phones[call].send_to(&phone_packet, ours_at[call]).expect("loopback takes it");
            sent += 2;
            hear(&browsers[call]);
            hear(&phones[call]);
        }
    }
    std::thread::sleep(Duration::from_millis(100));
    browsers.iter().chain(&phones).for_each(hear);
    stop.store(true, Ordering::Relaxed);
    let spent = thread.join().expect("the loop doesn't panic");
    assert!(heard * 1000 >= sent * 999, "the bare loop lost packets: {heard} of {sent}");
    spent.as_secs_f64() * 1000.0 / (calls as f64 * time.as_secs_f64())
}

struct Looped {
    shared: UdpSocket,
    by_browser: HashMap<SocketAddr, usize>,
    browsers: Vec<SocketAddr>,
    phones: Vec<SocketAddr>,
    ours: Vec<UdpSocket>,
}

impl Looped {
    fn run(&self, stop: &AtomicBool) -> Duration {
        const SHARED: u64 = u64::MAX;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("descriptors are left");
        let watch = |socket: &UdpSocket, token| {
            epoll::add(&epoll, socket, epoll::EventData::new_u64(token), epoll::EventFlags::IN)
                .expect("it is a socket");
        };
        watch(&self.shared, SHARED);
        self.ours.iter().zip(0..).for_each(|(socket, token)| watch(socket, token));
        let mut ready = Vec::with_capacity(256);
        let mut storage = [0; 2048];
        let start = thread_cpu();
        while !stop.load(Ordering::Relaxed) {
            ready.clear();
            let timeout = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
            // Interrupted means nothing is ready.
            let _ = epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut ready), Some(&timeout));
            for event in ready.drain(..) {
                let token = event.data.u64();
                let socket = if token == SHARED { &self.shared } else { &self.ours[token as usize] };
                let (len, source) = match socket.recv_from(&mut storage) {
                    Ok(received) => received,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                    Err(error) => panic!("{error}"),
                };
                let sent = if token == SHARED {
                    let call = self.by_browser[&source];
                    self.ours[call].send_to(&storage[..len], self.phones[call])
                } else {
                    self.shared.send_to(&storage[..len], self.browsers[token as usize])
                };
                sent.expect("loopback takes it");
            }
        }
        thread_cpu() - start
    }
}
