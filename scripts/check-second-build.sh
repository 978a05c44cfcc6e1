#!/usr/bin/env bash
# A build that made a fresh page must not leave anything for the next one to compile.
set -euo pipefail
cd "$(dirname "$0")/.."

touch webphone/package.json
scripts/programs.sh --quiet
second=$(scripts/programs.sh 2>&1)
if grep -q Compiling <<<"$second"; then
  printf 'The second build compiled again:\n%s\n' "$second"
  exit 1
fi
