#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Fuzzes with libFuzzer: tests/fuzz/run.sh [--minutes N] [TARGET ...]
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
build=$top/build/fuzz
minutes=10
targets=()

usage() {
    cat <<'END'
usage: tests/fuzz/run.sh [--minutes N] [message|csr|query ...]

Builds the fuzz targets with clang, AddressSanitizer and UndefinedBehaviorSanitizer in build/fuzz
and runs those named (default: all) at once, each for N minutes (default 10), from the corpus in
tests/fuzz/corpus and what earlier runs found (build/fuzz/found).  A finding ends its target and is
kept as build/fuzz/TARGET-*; fix it and add it to the corpus.  Ends with one line per target and
with the number of targets that found something as exit status.
END
}

while [ $# -gt 0 ]; do
    case $1 in
    --minutes) minutes=${2:?--minutes needs a number}; shift 2 ;;
    --help | -h) usage; exit 0 ;;
    message | csr | query) targets+=("$1"); shift ;;
    *) usage >&2; exit 2 ;;
    esac
done
[ ${#targets[@]} -gt 0 ] || targets=(message csr query)

[ -x "$top/configure" ] || "$top/scripts/bootstrap"
mkdir -p "$build"
cd "$build"
# wrong signatures must not keep the fuzzer out: see must_verify() in mod_scep/core/message.c
if [ ! -f Makefile ]; then
    "$top/configure" --enable-fuzz CC="${CC:-clang}" \
        CPPFLAGS=-DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION >configure.log
fi
for target in "${targets[@]}"; do
    make -s "tests/fuzz/fuzz_$target"
done

pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true' INT TERM
for target in "${targets[@]}"; do
    mkdir -p "found/$target"
    "tests/fuzz/fuzz_$target" -max_total_time=$((minutes * 60)) -timeout=10 -rss_limit_mb=1024 \
        -max_len=65536 -dict="$top/tests/fuzz/scep.dict" -print_final_stats=1 \
        -artifact_prefix="$build/$target-" "found/$target" "$top/tests/fuzz/corpus/$target" \
        >"$target.log" 2>&1 &
    pids+=($!)
done

bad=0
for i in "${!targets[@]}"; do
    target=${targets[$i]}
    result=nothing
    wait "${pids[$i]}" || { result="something, see $build/$target.log"; bad=$((bad + 1)); }
    count=$(sed -n 's/^stat::number_of_executed_units: *//p' "$target.log")
    cover=$(grep -oE 'cov: [0-9]+' "$target.log" | tail -1)
    echo "fuzz_$target: ${count:-?} inputs in $minutes minutes, ${cover:-cov: ?}, found $result"
done
exit $bad
