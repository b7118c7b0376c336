#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Gives every fuzz target its corpus once: what was ever found or thought of must not crash again,
# and a file named ANSWER-whatever must get that answer.  Each target has some that succeed.
set -eu

srcdir=${srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
builddir=${builddir:-$PWD}
bad=0

for source in "$srcdir"/tests/fuzz/fuzz_*.c; do
    target=$(basename "$source" .c)
    target=${target#fuzz_}
    case $target in
    store | world) continue ;;
    esac
    program=$builddir/tests/fuzz/fuzz_$target
    corpus=$srcdir/tests/fuzz/corpus/$target
    if [ ! -x "$program" ]; then
        echo "replay_fuzz: $program is not built"
        bad=1
        continue
    fi
    count=$(find "$corpus" -type f | wc -l)
    if [ "$count" -eq 0 ]; then
        echo "replay_fuzz: no corpus in $corpus"
        bad=1
        continue
    fi
    if [ -z "$(find "$corpus" -type f -name 'success-*')" ]; then
        echo "replay_fuzz: nothing in $corpus is to succeed"
        bad=1
    fi
    if find "$corpus" -type f -print0 | xargs -0 "$program" >"$program.log" 2>&1; then
        echo "fuzz_$target: $count inputs"
    else
        echo "fuzz_$target: failed"
        tail -40 "$program.log"
        bad=1
    fi
done
exit $bad
