#!/usr/bin/env bash
# Every test, one part after the other, also when one fails. Ends with the sum of all parts: "N passed, N failed".
set -uo pipefail
cd "$(dirname "$0")/.."
passed=0
failed=0
failures=()
logs=target/test-logs
mkdir -p "$logs"

# Runs a part, shows what it says and keeps it in $log.
part() {
  name=$1
  shift
  log=$logs/${name// /-}.log
  printf '\n==== %s\n' "$name"
  "$@" 2>&1 | tee "$log"
  status=${PIPESTATUS[0]}
}

# Sums up the numbers that stand before or behind some words in the log.
sum() { grep -oE "$1" "$log" | grep -oE '[0-9]+' | awk '{ total += $1 } END { print total + 0 }'; }

count() { # passed, failed: what the part says of itself; a part that fails without a failed test counts as one
  local ok=$1 bad=$2
  if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then bad=1; fi
  passed=$((passed + ok))
  failed=$((failed + bad))
  if [ "$bad" -ne 0 ]; then
    failures+=("$name: $bad failed, see $log"$'\n'"$(reasons)")
  fi
}

# What the log says of its failed tests, so that it needn't be searched: cargo and Python have a report of each, node lists them.
reasons() { grep -A 12 -E '^(---- .* stdout ----|(FAIL|ERROR): .*|✖ failing tests:|error(\[.*\])?: .*)$' "$log" | head -n 60 | sed 's/^/    /'; }

check() { # a part that is one test
  part "$@"
  count $((status == 0)) 0
}

[ "$(id -u)" = 0 ] || echo 'Network namespaces and containers take root: without it the tests of baresip and of the images fail.'
check 'setup' scripts/setup.sh test
if [ "$status" -ne 0 ]; then
  printf '\n%s passed, %s failed\n' 0 1
  exit 1
fi
passed=0 # setting up is no test

# All of it in one profile, so that nothing is compiled twice.
check 'format' cargo fmt --all --check
check 'dependencies of the core' scripts/check-core-deps.sh
check 'layers of the core' scripts/check-core-layers.sh

# Many of them wait for something to time out.
part 'Rust tests' env RUST_TEST_THREADS=16 cargo test --profile checked --workspace --no-fail-fast --quiet
count "$(sum '[0-9]+ passed;')" "$(sum '[0-9]+ failed;')"

node_counts() { count "$(sum '^(#|ℹ) pass [0-9]+')" "$(sum '^(#|ℹ) (fail|cancelled) [0-9]+')"; }

part 'webphone' npm test --prefix webphone
node_counts

part 'programs' scripts/programs.sh --quiet
count 0 0
built=$status
check 'a second build has nothing to do' scripts/check-second-build.sh

# The soak waits more than it computes, so it runs beside parts that compute and don't look at the clock.
if [ "$built" -eq 0 ]; then
  set -m # a process group of its own, which can be ended as one
  target/checked/soak >"$logs/soak.said" 2>&1 &
  soak=$!
  set +m
  trap 'kill -- "-$soak" 2>/dev/null' EXIT
fi
soaked() { cat "$logs/soak.said" && return "$soak_status"; }

check 'lints' cargo clippy --profile checked --workspace --all-targets --quiet -- -D warnings

if [ "$built" -eq 0 ]; then
  check 'systemd units' scripts/check-units.sh
  part 'charts' npm test --prefix tests/helm
  node_counts

  wait "$soak"
  soak_status=$?
  trap - EXIT
  part 'soak' soaked
  count "$(sum '^soak: [0-9]+ passed')" "$(sum ', [0-9]+ failed$')"

  part 'monitoring' npm test --prefix tests/monitoring
  node_counts
  part 'images' npm test --prefix tests/images
  node_counts
  part 'balancers' npm test --prefix tests/balancers
  node_counts
  part 'blue and green' npm test --prefix tests/blue-green
  node_counts
  part 'real peers' node tests/real-peers/run.mjs
  node_counts
fi

printf '\n'
for failure in "${failures[@]}"; do printf '%s\n' "$failure"; done
printf '%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
