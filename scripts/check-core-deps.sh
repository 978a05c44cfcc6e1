#!/usr/bin/env bash
# The core does no I/O: nothing it depends on may be a runtime, a socket, HTTP, a logging backend or metrics.
set -euo pipefail
cd "$(dirname "$0")/.."

forbidden='tokio|tokio-.*|mio|async-std|async-io|async-executor|smol|futures-executor|glommio|compio|monoio
socket2|quinn|quinn-udp|quinn-proto|rustix|net2|polling|nix|io-uring|interprocess|hickory-.*|trust-dns-.*
hyper|hyper-.*|axum|axum-.*|http|h2|h3|reqwest|ureq|actix-.*|warp|tower|tower-.*|tungstenite|tokio-tungstenite
tracing-subscriber|tracing-appender|env_logger|log4rs|fern|simplelog|slog|flexi_logger|syslog
prometheus|prometheus-client|metrics|metrics-.*|opentelemetry|opentelemetry-.*|statsd'
pattern="^($(printf '%s' "$forbidden" | tr '\n' '|'))$"

tree=$(cargo tree --package webrtc-sip-core --edges normal --prefix none --format '{p}' --locked)
names=$(printf '%s\n' "$tree" | awk '{print $1}' | sort -u)
if [ "$(printf '%s\n' "$names" | wc -l)" -lt 10 ]; then
  echo "cargo tree named too few packages to be believed:" >&2
  printf '%s\n' "$names" >&2
  exit 1
fi
if found=$(printf '%s\n' "$names" | grep -E "$pattern"); then
  for name in $found; do
    echo "webrtc-sip-core must not depend on $name; it comes in through:" >&2
    cargo tree --package webrtc-sip-core --edges normal --invert "$name" --locked >&2
  done
  exit 1
fi
