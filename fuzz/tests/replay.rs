//! Every target on everything that is known: `fuzz/seeds/TARGET`, the shared test inputs where they are, each of them
//! shortened and disturbed, and bytes drawn from a seed.

use std::fs;
use std::path::{Path, PathBuf};

use fuzz::TARGETS;
use webrtc_sip_core::rng::Rng;

/// Inputs that are longer than any packet teach nothing new.
const MAX_LEN: usize = 8_192;
const RANDOM_INPUTS: u64 = 2_000;

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files(&path, found);
        } else if path.metadata().is_ok_and(|metadata| metadata.len() <= MAX_LEN as u64) {
            found.push(path);
        }
    }
}

fn inputs(target: &str) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = root.join("../../shared/testdata");
    if !shared.is_dir() {
        assert!(std::env::var_os("CI").is_none(), "CI needs the shared test data");
        println!("without shared test data");
    }
    let mut found = Vec::new();
    files(&root.join("seeds").join(target), &mut found);
    for folder in ["sip", "sdp", "stun", "rtp"] {
        files(&shared.join(folder), &mut found);
    }
    found.iter().map(|path| fs::read(path).expect("the file was found a moment ago")).collect()
}

#[test]
fn targets_hold_on_what_is_known() {
    for (name, target) in TARGETS {
        let mut rng = Rng::split(&[5; 32], name);
        for input in inputs(name) {
            target(&input);
            for _ in 0..8 {
                target(&input[..rng.below(input.len() as u64 + 1) as usize]);
                let mut disturbed = input.clone();
                if let Some(byte) = disturbed.get_mut(rng.below(input.len() as u64) as usize) {
                    *byte = rng.u32() as u8;
                }
                target(&disturbed);
            }
        }
    }
}

#[test]
fn targets_hold_on_random_bytes() {
    for (name, target) in TARGETS {
        let mut rng = Rng::split(&[6; 32], name);
        for _ in 0..RANDOM_INPUTS {
            let mut input = vec![0; rng.below(400) as usize];
            rng.fill(&mut input);
            target(&input);
        }
    }
}
