#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Fuzzes with libFuzzer, or tells what the corpus reaches: tests/fuzz/run.sh --help
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
build=$top/build/fuzz
minutes=10
at_once=2
coverage=''
known=(message csr query server poll getcert getcrl renewal)
targets=()

usage() {
    cat <<END
usage: tests/fuzz/run.sh [--minutes N] [--at-once N] [TARGET ...]
       tests/fuzz/run.sh --coverage [TARGET ...]
targets: ${known[*]} (default: all)

Builds the fuzz targets with clang, AddressSanitizer and UndefinedBehaviorSanitizer in build/fuzz
and runs each of them for N minutes (default 10), two at once, from the corpus in tests/fuzz/corpus
and what earlier runs found (build/fuzz/found).  A finding ends its target and is kept as
build/fuzz/TARGET-*; fix it and add it to the corpus.  Ends with one line per target and with the
number of targets that found something as exit status.

--coverage prints the lines and branches of mod_scep/core that the corpus reaches, file by file.
END
}

while [ $# -gt 0 ]; do
    case $1 in
    --minutes) minutes=${2:?--minutes needs a number}; shift 2 ;;
    --at-once) at_once=${2:?--at-once needs a number}; shift 2 ;;
    --coverage) coverage=yes; shift ;;
    --help | -h) usage; exit 0 ;;
    *)
        case " ${known[*]} " in
        *" $1 "*) targets+=("$1"); shift ;;
        *) usage >&2; exit 2 ;;
        esac ;;
    esac
done
[ ${#targets[@]} -gt 0 ] || targets=("${known[@]}")
# to libFuzzer 0 means for ever
[[ $minutes =~ ^[1-9][0-9]*$ && $at_once =~ ^[1-9][0-9]*$ ]] || { usage >&2; exit 2; }
[ -x "$top/configure" ] || "$top/scripts/bootstrap"

# What the corpus reaches, counted by gcov in a build of its own.
show_coverage() {
    local target
    build=$top/build/fuzz-coverage
    mkdir -p "$build"
    cd "$build"
    [ -f Makefile ] || "$top/configure" --enable-coverage CC="${CC:-gcc}" >configure.log
    make -s -j2 "${targets[@]/#/tests/fuzz/fuzz_}"
    find . -name '*.gcda' -delete
    for target in "${targets[@]}"; do
        "tests/fuzz/fuzz_$target" "$top/tests/fuzz/corpus/$target"
    done
    find mod_scep/core -name '*.gcno' | sort | while read -r notes; do
        gcov -n -b -o "$(dirname "$notes")" "$notes" 2>/dev/null
    done | awk '
        /^File / { name = $2; gsub(/.*mod_scep\/core\/|\047$/, "", name)
                   lines = branches = index($0, "/mod_scep/core/") > 0 && name ~ /\.c$/ }
        lines && /^Lines executed:/ { split($0, a, /[:% ]+/); hit = a[3] * a[5] / 100
            printf "%-14s %6.1f%% of %4d lines", name, a[3], a[5]
            l += hit; ln += a[5]; lines = 0 }
        branches && /^Taken at least once:/ { n = split($0, a, /[:% ]+/)
            printf ", %6.1f%% of %4d branches\n", a[n - 2], a[n]
            b += a[n - 2] * a[n] / 100; bn += a[n]; branches = 0 }
        END { if (!ln) exit 1
              printf "%-14s %6.1f%% of %4d lines, %6.1f%% of %4d branches\n", "mod_scep/core",
                  100 * l / ln, ln, 100 * b / bn, bn }'
}

if [ -n "$coverage" ]; then
    show_coverage
    exit
fi

mkdir -p "$build"
cd "$build"
# wrong signatures must not keep the fuzzer out: see must_verify() in mod_scep/core/message.c
if [ ! -f Makefile ]; then
    "$top/configure" --enable-fuzz CC="${CC:-clang}" \
        CPPFLAGS=-DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION >configure.log
fi
make -s -j2 "${targets[@]/#/tests/fuzz/fuzz_}"

# start TARGET: in the background
start() {
    mkdir -p "found/$1"
    "tests/fuzz/fuzz_$1" -max_total_time=$((minutes * 60)) -timeout=10 -rss_limit_mb=1024 \
        -max_len=65536 -dict="$top/tests/fuzz/scep.dict" -print_final_stats=1 \
        -artifact_prefix="$build/$1-" "found/$1" "$top/tests/fuzz/corpus/$1" >"$1.log" 2>&1 &
    pids+=($!)
}

bad=0
# finish TARGET PID: waits for it and says what it did
finish() {
    local result=nothing count cover
    wait "$2" || { result="something, see $build/$1.log"; bad=$((bad + 1)); }
    ! grep -q 'run interrupted' "$1.log" || result='nothing before it was interrupted'
    count=$(sed -n 's/^stat::number_of_executed_units: *//p' "$1.log")
    cover=$(grep -oE 'cov: [0-9]+' "$1.log" | tail -1)
    echo "fuzz_$1: ${count:-?} inputs in $minutes minutes, ${cover:-cov: ?}, found $result"
}

pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; exit 130' INT TERM
for ((i = 0; i < ${#targets[@]}; i += at_once)); do
    for target in "${targets[@]:i:at_once}"; do
        start "$target"
    done
    for ((j = i; j < ${#pids[@]}; j++)); do
        finish "${targets[$j]}" "${pids[$j]}"
    done
done
exit $bad
