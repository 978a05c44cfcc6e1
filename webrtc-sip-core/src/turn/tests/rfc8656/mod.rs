//! What RFC 8656 demands of a server, section by section, and RFC 8489 section 9.2 of its credentials: what is sent in
//! which state, and what is answered.

use super::scene::*;
use crate::stun::{Attribute, IntegrityAlgorithm, Method};

mod allocations;
mod credentials;
mod peers;
mod values;

const PEER: &str = "203.0.113.5:9000";
/// 203.0.113.5:9000 and 10.0.0.1:80 behind the mask of RFC 8489 section 14.2.
const XOR_PEER: (Attribute, &[u8]) = (Attribute::XOR_PEER_ADDRESS, &[0, 1, 2, 58, 234, 18, 213, 71]);
const XOR_PRIVATE: (Attribute, &[u8]) = (Attribute::XOR_PEER_ADDRESS, &[0, 1, 33, 66, 43, 18, 164, 67]);
const XOR_V6: (Attribute, &[u8]) =
    (Attribute::XOR_PEER_ADDRESS, &[0, 2, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
const V4: (Attribute, &[u8]) = (Attribute::REQUESTED_ADDRESS_FAMILY, &[1, 0, 0, 0]);
const V6: (Attribute, &[u8]) = (Attribute::REQUESTED_ADDRESS_FAMILY, &[2, 0, 0, 0]);
const NO_FAMILY: (Attribute, &[u8]) = (Attribute::REQUESTED_ADDRESS_FAMILY, &[9, 0, 0, 0]);
const AND_V6: (Attribute, &[u8]) = (Attribute::ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0]);
const RELEASE: (Attribute, &[u8]) = (Attribute::LIFETIME, &[0; 4]);
const MINUTES: (Attribute, &[u8]) = (Attribute::LIFETIME, &[0, 0, 4, 0xb0]);
const CHANNEL: (Attribute, &[u8]) = (Attribute::CHANNEL_NUMBER, &[0x40, 1, 0, 0]);
const OTHER_CHANNEL: (Attribute, &[u8]) = (Attribute::CHANNEL_NUMBER, &[0x40, 2, 0, 0]);
const UNKNOWN: (Attribute, &[u8]) = (Attribute(0x7abc), &[]);
const OPTIONAL: (Attribute, &[u8]) = (Attribute(0xfabc), &[]);

/// What alice has when she asks.
#[derive(Clone, Copy, Debug)]
enum State {
    Nothing,
    Allocated,
    Dual,
    /// An allocation that bob made from the same address.
    Bobs,
    /// [`CHANNEL`] bound to [`XOR_PEER`].
    Bound,
}
use State::*;

impl State {
    fn scene(self) -> (Scene, Client) {
        let mut scene = Scene::new(config());
        let mut client = Client::alice();
        let code = match self {
            Nothing => 200,
            Allocated => scene.request(&mut client, Method::ALLOCATE, &[UDP]).code(),
            Dual => scene.request(&mut client, Method::ALLOCATE, &[UDP, AND_V6]).code(),
            Bobs => {
                let mut bob = Client { user: "bob".to_owned(), password: "builder".to_owned(), ..client.clone() };
                scene.request(&mut bob, Method::ALLOCATE, &[UDP]).code()
            }
            Bound => {
                scene.allocate(&mut client);
                scene.request(&mut client, Method::CHANNEL_BIND, &[CHANNEL, XOR_PEER]).code()
            }
        };
        assert_eq!(code, 200, "{self:?}");
        (scene, client)
    }
}

/// State, request, code of the answer, and attributes that the answer has.
type Row<'a> = (State, Method, Attributes<'a>, u16, &'a [Attribute]);

fn check(rows: &[Row<'_>]) {
    for row @ (state, method, attributes, code, present) in rows {
        let (mut scene, mut client) = state.scene();
        let answer = scene.request(&mut client, *method, attributes);
        assert_eq!(answer.code(), *code, "{row:?}");
        let message = answer.message();
        assert!(message.verify_integrity(IntegrityAlgorithm::Sha1, &client.key()), "{row:?} is signed");
        assert_eq!((message.method(), message.get(Attribute::ERROR_CODE).is_some()), (*method, *code != 200));
        for attribute in *present {
            assert!(message.get(*attribute).is_some(), "{row:?} without {attribute:?}");
        }
        // Nothing but an allocation or its end changes what there is.
        let before = usize::from(!matches!(state, Nothing));
        let after = scene.server.stats().allocations;
        let released = *method == Method::REFRESH && *code == 200 && attributes.contains(&RELEASE);
        let made = *method == Method::ALLOCATE && *code == 200;
        assert_eq!(after + usize::from(released), before + usize::from(made), "{row:?}");
    }
}
