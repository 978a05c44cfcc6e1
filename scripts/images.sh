#!/usr/bin/env bash
# Container images of programs that are built already: `scripts/images.sh [gateway] [turn]`, both when none is named. Needs buildah and
# binutils. An image holds its program, the libraries that it needs and a list of what is inside, no distribution.
#   PROGRAMS=target/release   where the programs are
#   REGISTRY=localhost        what the images' names begin with
#   VERSION=...               their tag; the version of Cargo.toml without it
# Prints the name and size of each. From the same programs, libraries and commit come the same images.
set -euo pipefail
cd "$(dirname "$0")/.."
programs=${PROGRAMS:-target/release}
registry=${REGISTRY:-localhost}
version=${VERSION:-$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)}
# Times in the image are those of the commit.
epoch=$(git log -1 --format=%ct 2>/dev/null || echo 0)

[ $# -gt 0 ] || set -- gateway turn
for which in "$@"; do
  program=webrtc-sip-$which
  [ -x "$programs/$program" ] || {
    echo "$programs/$program is missing; cargo build --release --package $which-bin makes it" >&2
    exit 1
  }
  context=$(mktemp -d)
  trap 'rm -rf "$context"' EXIT
  root=$context/$which
  install -d "$root/usr/bin" "$root/usr/share/sbom" "$root/usr/share/licenses" "$root/etc"
  strip -o "$root/usr/bin/$program" "$programs/$program"
  chmod 755 "$root/usr/bin/$program"
  # Those that the loader finds, and the loader. Names are resolved by the C library alone: its modules are part of it.
  libraries=$(ldd "$programs/$program" | awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\// { print $1 }')
  for library in $libraries; do install -D -m 755 "$library" "$root$library"; done
  echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
  echo "$program:x:500:500::/:/nowhere" >"$root/etc/passwd"
  install -m 644 LICENSE-MIT LICENSE-APACHE "$root/usr/share/licenses/"
  # shellcheck disable=SC2086
  python3 scripts/sbom.py "$which-bin" $libraries >"$root/usr/share/sbom/$program.cdx.json"
  find "$root" -exec touch --no-dereference --date="@$epoch" {} +
  image=$registry/$program:$version
  buildah bud --quiet --identity-label=false --isolation chroot --timestamp "$epoch" --tag "$image" \
    --file "deploy/images/$which.Containerfile" "$context" >/dev/null
  printf '%s %s MB\n' "$image" "$(du -s --apparent-size --block-size=MB "$root" | grep -oE '^[0-9]+')"
  rm -rf "$context"
done
