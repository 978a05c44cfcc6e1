# The project's commands. Each sets up what it needs first; setting up is quick when there is nothing to do.

.PHONY: run test bench fuzz fmt lint setup real-peers help

help:
	@echo "make run         build the gateway and start it with demo users on http://127.0.0.1:8080/"
	@echo "make test        run every test, calls with real browsers and SIP phones included"
	@echo "make bench       measure calls, users and packets beside floors, aims and coturn (about fifteen minutes)"
	@echo "make fuzz        look for inputs that break a target: TARGET=stun_message SECS=60"
	@echo "make fmt         format the code"
	@echo "make lint        check format, lints and dependencies"
	@echo "make setup       install what the commands above need"
	@echo "make real-peers  only the calls with real browsers and SIP phones; ONLY=echo for one file"

run:
	@scripts/setup.sh run
	cargo build --release --package gateway-bin
	@exec target/release/webrtc-sip-gateway

test:
	@scripts/test.sh

bench:
	@scripts/setup.sh run
	cargo build --release --package gateway-bin --package turn-bin --package benches
	target/release/load
	target/release/turn
	cargo bench --package benches

TARGET ?= stun_message
SECS ?= 60
fuzz:
	@scripts/setup.sh run
	@cargo fuzz --version >/dev/null 2>&1 || cargo install --locked cargo-fuzz
	@mkdir -p fuzz/corpus/$(TARGET) fuzz/seeds/$(TARGET)
	cargo fuzz run --sanitizer none $(TARGET) fuzz/corpus/$(TARGET) fuzz/seeds/$(TARGET) -- -max_total_time=$(SECS)

fmt:
	cargo fmt --all

lint:
	@scripts/setup.sh run
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	scripts/check-core-deps.sh
	scripts/check-core-layers.sh

setup:
	@scripts/setup.sh test

real-peers:
	@scripts/setup.sh test
	scripts/programs.sh
	node tests/real-peers/run.mjs $(ONLY)
