//! The media of one call: a browser and a phone.

use std::io;
use std::net::UdpSocket;
use std::time::Instant;

use webrtc_sip_core::codec::CodecKind;
use webrtc_sip_core::io::PacketBuf;

use crate::browser::{Browser, BrowserKind};
use crate::phones::PhoneMedia;
use crate::speech::Speech;

const HEADROOM: usize = 64;
const SLOT: usize = 2048;

/// The media of both sides, each on a socket of its own.
pub struct CallMedia {
    socket: UdpSocket,
    /// The caller's or the callee's browser.
    pub browser: Browser,
    /// The phone.
    pub phone: PhoneMedia,
    /// Whether signalling says that the call is answered.
    pub answered: bool,
    /// Packets that both sent.
    pub sent: u64,
    frame: usize,
}

impl CallMedia {
    /// Sockets on loopback; `number` tells calls apart.
    pub fn new(now: Instant, kind: &BrowserKind, phone_codec: CodecKind, number: u32) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback has free ports");
        socket.set_nonblocking(true).expect("it is a socket");
        let address = socket.local_addr().expect("it is bound");
        CallMedia {
            socket,
            browser: Browser::new(now, kind, address),
            phone: PhoneMedia::new(phone_codec, number),
            answered: false,
            sent: 0,
            frame: number as usize,
        }
    }

    /// Whether media can flow both ways.
    pub fn is_up(&self) -> bool {
        self.answered && self.browser.is_connected() && self.phone.is_connected()
    }

    /// ICE, DTLS, and what both sides hear.
    pub fn listen(&mut self, now: Instant) {
        let mut storage = [0; SLOT];
        loop {
            match self.socket.recv_from(&mut storage) {
                Ok((len, source)) => self.browser.handle_datagram(now, source, &mut storage[..len]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => {}
            }
        }
        self.browser.handle_timeout(now);
        while let Some((destination, datagram)) = self.browser.poll_transmit() {
            // Lost ones are repeated.
            let _ = self.socket.send_to(&datagram, destination);
        }
        self.phone.listen();
    }

    /// Both say their next 20 ms.
    pub fn speak(&mut self, browser_speech: &Speech, phone_speech: &Speech) {
        let mut storage = [0; SLOT];
        let mut packet = PacketBuf::empty(&mut storage, HEADROOM);
        let (payload, step) = (browser_speech.payload(self.frame), browser_speech.timestamp_step());
        if let Some(destination) = self.browser.speak(payload, step, &mut packet) {
            self.sent += u64::from(self.socket.send_to(packet.as_slice(), destination).is_ok());
        }
        let payload = phone_speech.payload(self.frame);
        self.sent += u64::from(self.phone.speak(payload, phone_speech.timestamp_step()));
        self.frame += 1;
    }
}
