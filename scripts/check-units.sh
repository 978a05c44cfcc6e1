#!/usr/bin/env bash
# The units of systemd: they can be read, leave little open to a program that was taken over, start again one that failed, and
# the configurations that they come with are good. Takes the programs, from target/checked or where GATEWAY and TURN say.
set -euo pipefail
cd "$(dirname "$0")/.."
# Out of 100, by systemd's own weights: a service without any restriction has 96.
EXPOSURE=20
export GATEWAY=${GATEWAY:-target/checked/webrtc-sip-gateway} TURN=${TURN:-target/checked/webrtc-sip-turn}

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for unit in deploy/systemd/*.service; do
  # Where the program will be, nothing may be yet.
  sed -E 's#^(ExecStart|ExecReload)=webrtc-sip-[a-z]+#\1=/bin/true#' "$unit" >"$folder/${unit##*/}"
done
# A setting that is misspelt doesn't fail it, but is told.
said=$(systemd-analyze verify --man=no --recursive-errors=no "$folder"/*.service 2>&1) || true
if [ -n "$said" ]; then
  printf '%s\n' "$said"
  exit 1
fi
systemd-analyze security --offline=true --no-pager --threshold="$EXPOSURE" "$folder"/*.service >"$folder/exposure" || {
  cat "$folder/exposure"
  exit 1
}

# Exit status 2 alone is final.
for unit in deploy/systemd/*.service; do
  for setting in StartLimitIntervalSec=0 Restart=on-failure RestartPreventExitStatus=2; do
    if ! grep -qx "$setting" "$unit"; then
      printf '%s lacks %s\n' "$unit" "$setting"
      exit 1
    fi
  done
done

for users in deploy/systemd/*.conf; do
  systemd-sysusers --dry-run "$PWD/$users" >"$folder/users" 2>&1 || {
    cat "$folder/users"
    exit 1
  }
done

"$GATEWAY" --config deploy/systemd/gateway.toml --check-config
WST_AUTH__SECRETS=checking "$TURN" --config deploy/systemd/turn.toml --check-config
