use proptest::prelude::*;
use serde_json::Value;

use super::cipher::{AesCm, Gcm};
use super::kdf::{Protocol, Use, derive};
use super::*;
use crate::io::PacketBuf;
use crate::test_data;

const PROFILES: [SrtpProfile; 3] =
    [SrtpProfile::Aes128CmSha1_80, SrtpProfile::AeadAes128Gcm, SrtpProfile::AeadAes256Gcm];

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().map(|c| char::from(c).to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn array<const N: usize>(text: &str) -> [u8; N] {
    hex(text).try_into().unwrap()
}

fn vectors() -> Option<Value> {
    let text = std::fs::read(test_data::path("srtp/vectors.json")?).unwrap();
    Some(serde_json::from_slice(&text).unwrap())
}

fn field(value: &Value, name: &str) -> Vec<u8> {
    hex(value[name].as_str().unwrap())
}

fn keys(profile: SrtpProfile) -> SrtpKeys {
    let key: Vec<u8> = (1..=profile.key_len() as u8).collect();
    let salt: Vec<u8> = (101..101 + profile.salt_len() as u8).collect();
    SrtpKeys::new(profile, &key, &salt).unwrap()
}

fn rtp(sequence: u16, ssrc: u32, payload: &[u8]) -> Vec<u8> {
    let header = crate::rtp::RtpHeader { payload_type: 0, marker: false, sequence, timestamp: 160, ssrc };
    [&header.to_bytes()[..], payload].concat()
}

fn protect(sender: &mut SrtpSender, plain: &[u8]) -> Result<Vec<u8>, SrtpError> {
    on_packet(plain, |packet| sender.protect_rtp(packet)).map(|(bytes, ())| bytes)
}

fn unprotect(receiver: &mut SrtpReceiver, protected: &[u8]) -> Result<(Vec<u8>, u64), SrtpError> {
    on_packet(protected, |packet| receiver.unprotect_rtp(packet))
}

fn on_packet<T>(
    bytes: &[u8],
    apply: impl FnOnce(&mut PacketBuf<'_>) -> Result<T, SrtpError>,
) -> Result<(Vec<u8>, T), SrtpError> {
    let mut slot = vec![0u8; bytes.len() + 64];
    let mut packet = PacketBuf::empty(&mut slot, 16);
    packet.extend_from_slice(bytes).unwrap();
    let result = apply(&mut packet)?;
    Ok((packet.as_slice().to_vec(), result))
}

#[test]
fn key_derivation_matches_rfc_3711_appendix_b3() {
    let key = hex("e1f97a0d3e018be0d64fa32c06de4139");
    let salt = hex("0ec675ad498afeebb6960b3aabe6");
    let derived = |usage, len| {
        let mut out = vec![0; len];
        derive(&key, &salt, Protocol::Rtp, usage, &mut out);
        out
    };
    assert_eq!(derived(Use::Encryption, 16), hex("c61e7a93744f39ee10734afe3ff7a087"));
    assert_eq!(derived(Use::Salt, 14), hex("30cbbc08863d8c85d49db34a9ae1"));
    let authentication = "cebe321f6ff7716b6fd4ab49af256a156d38baa48f0a0acf3c34e2359e6cdbcee049646c43d9327ad175578ef72270986371\
                          c10c9a369ac2f94a8c5fbcdddc256d6e919a48b610ef17c2041e474035766b68642c59bbfc2f34db60dbdfb2";
    assert_eq!(derived(Use::Authentication, 94), hex(authentication));
}

#[test]
fn counter_mode_matches_rfc_3711_appendix_b2() {
    let salt: [u8; 14] = array("F0F1F2F3F4F5F6F7F8F9FAFBFCFD");
    let cipher = AesCm::from_session_keys(&array("2B7E151628AED2A6ABF7158809CF4F3C"), &[], salt);
    let mut keystream = vec![0; 16 * 0xff02];
    cipher.apply(0, 0, &mut keystream);
    let block = |number: usize| &keystream[16 * number..16 * (number + 1)];
    assert_eq!(block(0), hex("E03EAD0935C95E80E166B16DD92B4EB4"));
    assert_eq!(block(1), hex("D23513162B02D0F72A43A2FE4A5F97AB"));
    assert_eq!(block(2), hex("41E95B3BB0A2E8DD477901E4FCA894C0"));
    assert_eq!(block(0xfeff), hex("EC8CDF7398607CB0F2D21675EA9EA1E4"));
    assert_eq!(block(0xff00), hex("362B7C3C6773516318A077D7FC5073AE"));
    assert_eq!(block(0xff01), hex("6A2CC3787889374FBEB4C81B17BA6C44"));
}

/// RFC 7714 sections 16 and 17 print session keys, so they go into the transform and not through key derivation.
fn gcm(vector: &Value) -> Gcm {
    Gcm::from_session_keys(&field(vector, "key"), field(vector, "salt").try_into().unwrap())
}

#[test]
fn gcm_rtp_matches_rfc_7714_section_16() {
    let Some(vectors) = vectors() else { return };
    for name in ["srtp_aead_aes_128_gcm", "srtp_aead_aes_256_gcm"] {
        let vector = &vectors["rfc7714"][name];
        let (plain, protected) = (field(vector, "plain"), field(vector, "protected"));
        let (ssrc, index) = (0x5501_a0b2, 0xf17b);
        let mut body = plain[12..].to_vec();
        let tag = gcm(vector).seal(ssrc, index, &plain[..12], &mut body).unwrap();
        assert_eq!([&plain[..12], &body, &tag].concat(), protected, "{name}");
        let mut body = protected[12..].to_vec();
        gcm(vector).open(ssrc, index, &protected[..12], &mut body).unwrap();
        assert_eq!(body[..plain.len() - 12], plain[12..], "{name}");

        let vector = &vectors["rfc7714"][format!("{name}_tagonly")];
        let (plain, protected) = (field(vector, "plain"), field(vector, "protected"));
        let tag = gcm(vector).seal(ssrc, index, &plain, &mut []).unwrap();
        assert_eq!([&plain[..], &tag].concat(), protected, "{name}_tagonly");
    }
}

#[test]
fn gcm_rtcp_matches_rfc_7714_section_17() {
    let Some(vectors) = vectors() else { return };
    let profiles = [
        ("srtcp_aead_aes_128_gcm", SrtpProfile::AeadAes128Gcm),
        ("srtcp_aead_aes_256_gcm", SrtpProfile::AeadAes256Gcm),
    ];
    for (name, profile) in profiles {
        let vector = &vectors["rfc7714"][name];
        let (plain, protected) = (field(vector, "plain"), field(vector, "protected"));
        let mut sender = SrtpSender::new(&keys(profile));
        sender.replace_rtcp_cipher(gcm(vector), 0x5d4);
        let (bytes, ()) = on_packet(&plain, |packet| sender.protect_rtcp(packet)).unwrap();
        assert_eq!(bytes, protected, "{name}");

        for name in [name.to_owned(), format!("{name}_tagonly")] {
            let vector = &vectors["rfc7714"][&name];
            let mut receiver = SrtpReceiver::new(&keys(profile), 4);
            receiver.replace_rtcp_cipher(gcm(vector));
            let protected = field(vector, "protected");
            let (bytes, index) = on_packet(&protected, |packet| receiver.unprotect_rtcp(packet)).unwrap();
            assert_eq!((bytes, index), (field(vector, "plain"), 0x5d4), "{name}");
            let again = on_packet(&protected, |packet| receiver.unprotect_rtcp(packet));
            assert_eq!(again.err(), Some(SrtpError::Replayed), "{name}");
        }
    }
}

#[test]
fn libsrtp_packets_match_through_key_derivation() {
    let Some(vectors) = vectors() else { return };
    let driver = &vectors["libsrtp_driver"];
    let (key, salt) = (field(driver, "test_key_master_key"), field(driver, "test_key_master_salt"));
    let gcm_key = field(driver, "test_key_gcm");
    let cases = [
        ("srtp_validate", SrtpKeys::new(SrtpProfile::Aes128CmSha1_80, &key, &salt), "srtp_plaintext_ref"),
        (
            "srtp_validate_gcm",
            SrtpKeys::new(SrtpProfile::AeadAes128Gcm, &gcm_key[..16], &gcm_key[16..]),
            "rtp_plaintext_ref",
        ),
    ];
    for (name, keys, plain_rtp) in cases {
        let keys = keys.unwrap();
        let case = &driver["cases"][name];
        let mut sender = SrtpSender::new(&keys);
        let mut receiver = SrtpReceiver::new(&keys, 4);
        let (plain, protected) = (field(case, plain_rtp), field(case, "srtp_ciphertext"));
        assert_eq!(protect(&mut sender, &plain).unwrap(), protected, "{name}");
        assert_eq!(unprotect(&mut receiver, &protected).unwrap(), (plain, 0x1234), "{name}");

        let (plain, protected) = (field(case, "rtcp_plaintext_ref"), field(case, "srtcp_ciphertext"));
        // libsrtp numbers its first SRTCP packet 1, the RFC 0.
        on_packet(&plain, |packet| sender.protect_rtcp(packet)).unwrap();
        let (bytes, ()) = on_packet(&plain, |packet| sender.protect_rtcp(packet)).unwrap();
        assert_eq!(bytes, protected, "{name}");
        let (bytes, index) = on_packet(&protected, |packet| receiver.unprotect_rtcp(packet)).unwrap();
        assert_eq!((bytes, index), (plain, 1), "{name}");
    }
}

#[test]
fn encryption_starts_after_the_header_extension() {
    // The keystream starts at the payload (RFC 3711 section 3.1), so the ciphertext is that of the bare packet.
    for profile in PROFILES {
        let keys = keys(profile);
        let plain = [&rtp(1, 2, b"")[..], &[0xbe, 0xde, 0, 1, 0x10, 0x55, 0, 0], b"payload"].concat();
        let mut extended = plain.clone();
        extended[0] |= 0x10;
        let protected = protect(&mut SrtpSender::new(&keys), &extended).unwrap();
        assert_eq!(protected[..20], extended[..20]);
        let bare = protect(&mut SrtpSender::new(&keys), &rtp(1, 2, b"payload")).unwrap();
        assert_eq!(protected[20..27], bare[12..19]);
        assert_eq!(unprotect(&mut SrtpReceiver::new(&keys, 1), &protected).unwrap(), (extended, 1));
    }
}

#[test]
fn forged_packets_leave_no_state_and_replays_are_refused() {
    for profile in PROFILES {
        let keys = keys(profile);
        let mut sender = SrtpSender::new(&keys);
        let mut receiver = SrtpReceiver::new(&keys, 1);
        for ssrc in 10..100 {
            let mut forged = protect(&mut SrtpSender::new(&keys), &rtp(1, ssrc, b"payload")).unwrap();
            *forged.last_mut().unwrap() ^= 1;
            assert_eq!(unprotect(&mut receiver, &forged), Err(SrtpError::AuthenticationFailed));
            assert_eq!(receiver.roll_over_counter(ssrc), None);
        }
        let protected = protect(&mut sender, &rtp(1, 7, b"payload")).unwrap();
        unprotect(&mut receiver, &protected).unwrap();
        assert_eq!(unprotect(&mut receiver, &protected), Err(SrtpError::Replayed));
        let second = protect(&mut sender, &rtp(1, 8, b"payload")).unwrap();
        assert_eq!(unprotect(&mut receiver, &second), Err(SrtpError::TooManySources));
        assert_eq!(protect(&mut sender, &rtp(1, 7, b"other")), Err(SrtpError::Replayed));
    }
}

#[test]
fn the_roll_over_counter_counts_and_can_be_restored() {
    for profile in PROFILES {
        let keys = keys(profile);
        let mut sender = SrtpSender::new(&keys);
        let mut receiver = SrtpReceiver::new(&keys, 4);
        let mut last = Vec::new();
        for step in 0u32..40 {
            let plain = rtp((step * 10_000) as u16, 7, &step.to_be_bytes());
            last = protect(&mut sender, &plain).unwrap();
            assert_eq!(unprotect(&mut receiver, &last), Ok((plain, u64::from(step) * 10_000)));
        }
        assert_eq!(sender.roll_over_counter(7), Some(5));
        assert_eq!(receiver.roll_over_counters().collect::<Vec<_>>(), [(7, 5)]);

        // Without the counter nothing decrypts; with it, or with the one before, everything does.
        assert_eq!(unprotect(&mut SrtpReceiver::new(&keys, 4), &last), Err(SrtpError::AuthenticationFailed));
        for stored in [4, 5] {
            let mut restored = SrtpReceiver::new(&keys, 4);
            restored.set_roll_over_counter(7, stored).unwrap();
            assert_eq!(unprotect(&mut restored, &last).unwrap().1, 390_000, "{profile:?} from {stored}");
            assert_eq!(unprotect(&mut restored, &last), Err(SrtpError::Replayed));
        }
        for stored in [3, 6] {
            let mut restored = SrtpReceiver::new(&keys, 4);
            restored.set_roll_over_counter(7, stored).unwrap();
            assert_eq!(unprotect(&mut restored, &last), Err(SrtpError::AuthenticationFailed));
        }
    }
}

#[test]
fn keying_material_is_split_as_rfc_5764_says() {
    for profile in PROFILES {
        let material: Vec<u8> = (0..profile.keying_material_len() as u8).collect();
        let (local, remote) = keying_material(profile, &material, true).unwrap();
        let (k, s) = (profile.key_len(), profile.salt_len());
        assert_eq!((local.key(), local.salt()), (&material[..k], &material[2 * k..2 * k + s]));
        assert_eq!((remote.key(), remote.salt()), (&material[k..2 * k], &material[2 * k + s..]));
        assert_eq!(keying_material(profile, &material, false).unwrap(), (remote, local));
        assert_eq!(keying_material(profile, &material[1..], true).err(), Some(SrtpError::KeyLength));
    }
}

#[test]
fn keys_are_serialised_but_not_shown() {
    let keys = keys(SrtpProfile::AeadAes128Gcm);
    let text = serde_json::to_string(&keys).unwrap();
    assert_eq!(serde_json::from_str::<SrtpKeys>(&text).unwrap(), keys);
    assert!(serde_json::from_str::<SrtpKeys>(&text.replace("AeadAes128Gcm", "AeadAes256Gcm")).is_err());
    assert_eq!(format!("{keys:?}"), "SrtpKeys { profile: AeadAes128Gcm, key: \"***\" }");
}

#[test]
fn a_full_slot_is_refused_before_anything_is_encrypted() {
    for profile in PROFILES {
        let mut sender = SrtpSender::new(&keys(profile));
        let plain = rtp(1, 7, b"payload");
        let mut slot = plain.clone();
        let mut packet = PacketBuf::filled(&mut slot, 0, plain.len());
        assert_eq!(sender.protect_rtp(&mut packet), Err(SrtpError::NoRoom));
        assert_eq!(packet.as_slice(), plain);
        assert!(protect(&mut sender, &plain).is_ok());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_bytes_are_refused_without_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..64), rtcp: bool) {
        if let Some(first) = bytes.first_mut() {
            *first = 0x80 | (*first & 0x3f);
        }
        for profile in PROFILES {
            let mut receiver = SrtpReceiver::new(&keys(profile), 2);
            let result = if rtcp {
                on_packet(&bytes, |packet| receiver.unprotect_rtcp(packet)).map(|_| ())
            } else {
                unprotect(&mut receiver, &bytes).map(|_| ())
            };
            prop_assert!(matches!(result, Err(SrtpError::Malformed | SrtpError::AuthenticationFailed)));
        }
    }

    #[test]
    fn packets_survive_reordering_and_loss(order in Just((0u32..100).collect::<Vec<_>>()).prop_shuffle(), first: u16) {
        for profile in PROFILES {
            let keys = keys(profile);
            let mut sender = SrtpSender::new(&keys);
            let mut receiver = SrtpReceiver::new(&keys, 2);
            // The first packet decides where counting starts, so it isn't shuffled.
            let sent: Vec<_> = (0..=100u32).map(|n| rtp(first.wrapping_add(n as u16), 9, &n.to_be_bytes())).collect();
            let protected: Vec<_> = sent.iter().map(|plain| protect(&mut sender, plain).unwrap()).collect();
            prop_assert!(unprotect(&mut receiver, &protected[0]).is_ok());
            for n in order.iter().filter(|n| **n % 7 != 3) {
                let n = *n as usize + 1;
                let (plain, index) = unprotect(&mut receiver, &protected[n]).unwrap();
                prop_assert_eq!(&plain, &sent[n]);
                prop_assert_eq!(index, u64::from(first) + n as u64);
            }
        }
    }
}
