#!/usr/bin/env bash
# Imports inside the core point down only: names every import of a module from a layer above its own.
set -euo pipefail
cd "$(dirname "$0")/../webrtc-sip-core/src"

# Each module with the modules it may import besides ids, io, timer and rng, which all may.
allowed() {
  case $1 in
    crypto | codec | stun) echo '' ;;
    turn) echo 'crypto stun' ;;
    rtp) echo 'crypto' ;;
    sip) echo 'crypto' ;;
    sdp) echo 'codec' ;;
    transport) echo 'crypto sdp rtp codec stun' ;;
    media) echo 'crypto sdp rtp codec stun transport' ;;
    call) echo 'media' ;;
    gateway) echo 'crypto turn sip sdp rtp codec transport media call' ;;
    *) return 1 ;;
  esac
}

bad=0
for folder in */; do
  module=${folder%/}
  may=$(allowed "$module") || { echo "$module has no place in the layers; give it one here"; bad=1; continue; }
  for other in crypto codec rtp sip sdp stun turn transport media call gateway; do
    case " $module $may " in *" $other "*) continue ;; esac
    if grep -rnE "crate::$other\b" "$module" --include='*.rs'; then
      echo "$module must not import $other"
      bad=1
    fi
  done
done
exit "$bad"
