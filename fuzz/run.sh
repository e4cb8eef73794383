#!/usr/bin/env bash
# Runs one fuzz target for so many seconds: fuzz/run.sh frames 1800. It needs a nightly toolchain and cargo-fuzz.
# Standard error ends with the target's own summary; lines can be as long as an input, so cut what you read.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=${1:?which target: frames, guard, token or records}
seconds=${2:-60}
mkdir -p "fuzz/corpus/$target"
dictionary=()
if [ -e "fuzz/seeds/$target.dict" ]; then
    dictionary=("-dict=fuzz/seeds/$target.dict")
fi
exec cargo +nightly fuzz run "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
    -max_total_time="$seconds" -max_len=200000 -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 "${dictionary[@]}"
