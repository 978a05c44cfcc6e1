//! What goes from one worker to another: questions of their servers, answers, and the sockets that move along.

use std::time::Instant;

use webrtc_sip_core::ids::RequestId;
use webrtc_sip_core::turn::{Answer, Question};

use super::WorkerInput;
use super::event_loop::{Socket, Worker};
use crate::relays::Relay;

impl Worker {
    /// Puts a question of our server to another worker's.
    pub(super) fn ask(&mut self, now: Instant, id: RequestId, server: u8, question: Question) {
        let asker = self.number;
        let asked = match self.workers.get(usize::from(server)) {
            Some(inbox) if server != asker => inbox.try_send(WorkerInput::Question { asker, id, question }).is_ok(),
            _ => false,
        };
        if !asked {
            self.server.handle_server_answer(now, id, Answer::nothing());
        }
    }

    /// Has our server answer another one, and moves the sockets that it gives away.
    pub(super) fn answer(&mut self, now: Instant, asker: u8, id: RequestId, question: Question) {
        let mut answer = self.server.handle_question(now, question);
        let numbers: Vec<_> = answer.sockets_mut().iter().map(|moved| moved.socket).collect();
        let relays = numbers.iter().filter_map(|number| match self.sockets.remove(number) {
            Some(Socket::Relay(relay)) => Some(relay),
            _ => None,
        });
        let relays: Vec<Relay> = relays.collect();
        relays.iter().for_each(|relay| self.poll.remove(&relay.socket));
        let delivered = match self.workers.get(usize::from(asker)) {
            Some(inbox) => inbox.try_send(WorkerInput::Answer { id, answer, relays }),
            None => Err(WorkerInput::Answer { id, answer, relays }),
        };
        if let Err(WorkerInput::Answer { answer, relays, .. }) = delivered {
            self.stats.lost_answers += 1;
            for (number, relay) in numbers.into_iter().zip(relays) {
                if let Err(error) = self.poll.add(&relay.socket, number.0) {
                    tracing::warn!(%error, "a relay socket can't be watched");
                }
                self.sockets.insert(number, Socket::Relay(relay));
            }
            self.server.handle_undelivered(now, answer);
        }
    }

    /// Takes over what another worker's server gave ours.
    pub(super) fn take_over(&mut self, now: Instant, id: RequestId, mut answer: Answer, relays: Vec<Relay>) {
        for (moved, relay) in answer.sockets_mut().iter_mut().zip(relays) {
            moved.socket = self.draw_socket_id();
            if let Err(error) = self.poll.add(&relay.socket, moved.socket.0) {
                // What peers send isn't heard; what clients send passes.
                tracing::warn!(%error, "a relay socket can't be watched");
            }
            self.sockets.insert(moved.socket, Socket::Relay(relay));
        }
        self.server.handle_server_answer(now, id, answer);
    }
}
