//! Attributes and error codes (sections 18 and 19).

use super::*;

/// Section 18: values that are as long as no value of their attribute is.
#[test]
fn section_18_attributes_of_impossible_lengths() {
    let requests: [(State, Method, Attribute, usize, Attributes<'_>); 8] = [
        (Bound, Method::CHANNEL_BIND, Attribute::CHANNEL_NUMBER, 4, &[XOR_PEER]),
        (Allocated, Method::REFRESH, Attribute::LIFETIME, 4, &[]),
        (Allocated, Method::CREATE_PERMISSION, Attribute::XOR_PEER_ADDRESS, 8, &[]),
        (Allocated, Method::REFRESH, Attribute::REQUESTED_ADDRESS_FAMILY, 4, &[]),
        (Nothing, Method::ALLOCATE, Attribute::EVEN_PORT, 1, &[UDP]),
        (Nothing, Method::ALLOCATE, Attribute::REQUESTED_TRANSPORT, 4, &[]),
        (Nothing, Method::ALLOCATE, Attribute::RESERVATION_TOKEN, 8, &[UDP]),
        (Nothing, Method::ALLOCATE, Attribute::ADDITIONAL_ADDRESS_FAMILY, 4, &[UDP]),
    ];
    for (state, method, attribute, right, others) in requests {
        for len in (0..24).filter(|len| *len != right) {
            let value = vec![1; len];
            let attributes = [others, &[(attribute, &value)]].concat();
            check(&[(state, method, &attributes, 400, &[])]);
        }
    }
}

/// Section 19, and RFC 8489 section 14.8: each code with its phrase.
#[test]
fn section_19_error_codes() {
    let rows: &[(State, Method, Attributes<'_>, (u16, &str))] = &[
        (Nothing, Method::ALLOCATE, &[], (400, "Bad Request")),
        (Allocated, Method::CREATE_PERMISSION, &[XOR_PRIVATE], (403, "Forbidden")),
        (Nothing, Method::ALLOCATE, &[UDP, UNKNOWN], (420, "Unknown Attribute")),
        (Nothing, Method::REFRESH, &[], (437, "Allocation Mismatch")),
        (Nothing, Method::ALLOCATE, &[UDP, NO_FAMILY], (440, "Address Family not Supported")),
        (Bobs, Method::REFRESH, &[], (441, "Wrong Credentials")),
        (
            Nothing,
            Method::ALLOCATE,
            &[(Attribute::REQUESTED_TRANSPORT, &[99, 0, 0, 0])],
            (442, "Unsupported Transport Protocol"),
        ),
        (Allocated, Method::CREATE_PERMISSION, &[XOR_V6], (443, "Peer Address Family Mismatch")),
        (Allocated, Method::CREATE_PERMISSION, &[XOR_PEER; 40], (508, "Insufficient Capacity")),
    ];
    for (state, method, attributes, expected) in rows {
        let (mut scene, mut client) = state.scene();
        assert_eq!(scene.request(&mut client, *method, attributes).message().error_code(), Some(*expected));
    }
    let mut config = config();
    config.tenants.default.user_quota.allocations = std::num::NonZeroUsize::new(1);
    let mut scene = Scene::new(config);
    scene.allocate(&mut Client::alice());
    let mut again = Client::udp("198.51.100.7:4001", "alice", "wonder");
    let answer = scene.request(&mut again, Method::ALLOCATE, &[UDP]);
    assert_eq!(answer.message().error_code(), Some((486, "Allocation Quota Reached")));
}
