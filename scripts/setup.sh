#!/usr/bin/env bash
# Installs what is missing, on a bare Debian 12 with a Rust toolchain: `setup.sh run` what building and running takes,
# `setup.sh test` also what the tests call: browsers, SIP phones, proxies, speech tools, Prometheus. Says nothing when all is there.
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-test}
NODE_MAJOR=18
# Where Debian has servers, and not every user's shell looks.
PATH=$PATH:/usr/sbin:/sbin

say() { printf 'setup: %s\n' "$*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }

if ! have cargo; then
  say 'there is no Rust toolchain; install one from https://rustup.rs and try again'
  exit 1
fi
# Debian's own is too old, and cargo would only say that it can't read Cargo.toml.
wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
version=$(rustc --version | cut -d ' ' -f 2)
if [ "$(printf '%s\n' "$wanted" "$version" | sort -V | head -n 1)" != "$wanted" ]; then
  say "Rust $version is older than $wanted; install a newer one from https://rustup.rs and try again"
  exit 1
fi

# ---- packages of the system: the command that shows it is there, and the Debian packages that bring it ----
missing=()
servers=()
need() { # command, package
  have "$1" || missing+=("$2")
}
need_file() { # what shows that it is there, package
  [ -e "$1" ] || missing+=("$2")
}
need_server() { # command, package that brings a service of the same name too
  have "$1" || servers+=("$2.service")
  need "$1" "$2"
}
node_is_new() { have node && [ "$(node -p 'process.versions.node.split(".")[0]')" -ge "$NODE_MAJOR" ]; }

need cmake cmake
need g++ g++
need make make
node_is_new || missing+=(nodejs)
need npm npm
if [ "$what" = test ]; then
  have chromium || have google-chrome || missing+=(chromium)
  have firefox-esr || have firefox || missing+=(firefox-esr)
  need sipp sip-tester
  need baresip baresip-core
  need_server kamailio kamailio
  need_server turnutils_uclient coturn
  need pulseaudio pulseaudio
  need sox sox
  need espeak-ng espeak-ng
  need ip iproute2
  need openssl openssl
  need curl curl
  need systemd-analyze systemd
  need_server prometheus prometheus
  need buildah buildah
  need podman podman
  need runc runc
  need docker-compose docker-compose
  need strip binutils
  need_server nginx nginx
  need apache2 apache2-bin
  need_file /usr/lib/apache2/modules/mod_security2.so libapache2-mod-security2
  need_file /usr/share/modsecurity-crs/owasp-crs.load modsecurity-crs
  need_server haproxy haproxy
  # The speech score is a C extension, built on the spot for the Python that will load it.
  python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3-venv)
  [ -x target/venv/bin/python ] || python3 -c 'import sysconfig, os, sys
sys.exit(not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")))' 2>/dev/null || missing+=(python3-dev)
fi

if [ ${#missing[@]} -gt 0 ]; then
  say "missing: ${missing[*]}"
  if ! have apt-get; then
    say 'this is no Debian; install these, or what your system calls them, and try again'
    exit 1
  elif [ "$(id -u)" = 0 ]; then
    as_root=()
  elif have sudo && sudo -n true 2>/dev/null; then
    as_root=(sudo)
  elif have sudo && [ -t 0 ]; then
    as_root=(sudo)
  else
    say "run as root: apt-get install --no-install-recommends ${missing[*]}"
    exit 1
  fi
  # The tests start servers themselves. Debian would start them too, now and at each boot, on ports that `make run` takes.
  services() {
    if [ ${#servers[@]} -gt 0 ] && [ -d /run/systemd/system ]; then "${as_root[@]}" systemctl --quiet "$@" "${servers[@]}"; fi
  }
  services mask --runtime 2>/dev/null # it says that they aren't there yet
  trap 'services unmask --runtime' EXIT
  # Debian would also put the new firewall into an Apache that this machine has for itself, unless told that it is off there.
  if have a2query && [[ " ${missing[*]} " == *' libapache2-mod-security2 '* ]]; then
    "${as_root[@]}" install -D --mode=644 /dev/null /var/lib/apache2/module/disabled_by_admin/security2
  fi
  install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "${missing[@]}")
  "${install[@]}" >/dev/null 2>&1 || { "${as_root[@]}" apt-get update --quiet && "${install[@]}"; }
  services disable
  if ! node_is_new; then
    say "Node.js is older than $NODE_MAJOR; install a newer one and try again"
    exit 1
  fi
fi
[ "$what" = test ] || exit 0

# ---- packages of npm and Python, again when their lists change ----
fresh() { [ -e "$2" ] && [ ! "$1" -nt "$2" ]; } # list, stamp

for folder in webphone tests/balancers tests/real-peers tests/helm; do
  if ! fresh "$folder/package-lock.json" "$folder/node_modules/.package-lock.json"; then
    say "npm packages of $folder"
    npm ci --prefix "$folder" --no-audit --no-fund --loglevel=error
    touch "$folder/node_modules/.package-lock.json"
  fi
done

requirements=()
renew=
for list in tests/*/requirements.txt; do
  requirements+=(--requirement "$list")
  fresh "$list" target/venv/installed || renew=1
done
if [ -n "$renew" ]; then
  say 'Python packages of the tests'
  mkdir -p target
  python3 -m venv --clear target/venv
  target/venv/bin/python -m pip install --quiet --disable-pip-version-check "${requirements[@]}"
  touch target/venv/installed
fi
