#!/usr/bin/env bash
# Builds the programs that tests start, with the features of the whole workspace: what the Rust tests have compiled needn't be again.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --profile checked --workspace --bin webrtc-sip-gateway --bin webrtc-sip-turn --bin two_nodes --bin soak "$@"
