#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What is written is built and run: every source is in Makefile.am, every suite in suites.h, every
# START_TEST in a test case.
set -u

srcdir=${srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
cd "$srcdir" || exit 1
bad=0

complain() {
    echo "check_registration: $*"
    bad=1
}

# the lists of Makefile.am, one word a line
listed=$(tr -s ' \t\\' '\n' <Makefile.am)

sources=$(find common policy ca_backend mod_scep tests \
    \( -name '*.[ch]' -o -name '*.lua' \) -not -name redis_scripts.h | sort)
for file in $sources; do
    grep -qxF "$file" <<<"$listed" || complain "$file is not in Makefile.am"
done
for file in $(grep -E '^(common|policy|ca_backend|mod_scep|tests)/.*\.([ch]|lua|sh)$' \
    <<<"$listed" | grep -v /redis_scripts.h | sort -u); do
    [ -f "$file" ] || complain "Makefile.am lists $file, which does not exist"
done
for file in tests/guards/*.sh; do
    grep -qxF "$file" <<<"$listed" || complain "$file is not in Makefile.am"
done

tests=0
for file in tests/unit/test_*.c; do
    suite=$(basename "$file" .c)
    grep -qxF "SUITE($suite)" tests/unit/suites.h || complain "SUITE($suite) is not in suites.h"
    for name in $(sed -nE 's/^[[:space:]]*START_TEST\(([A-Za-z0-9_]+)\).*/\1/p' "$file"); do
        tests=$((tests + 1))
        grep -qE "tcase_add_[a-z_]*test[a-z_]*\(.*\b$name\b" "$file" ||
            complain "$file: $name is in no test case"
    done
done
for suite in $(sed -nE 's/^SUITE\((.*)\)$/\1/p' tests/unit/suites.h); do
    grep -qx "Suite \*${suite}_suite(void)" tests/unit/test_*.c ||
        complain "suites.h lists $suite, which does not exist"
done
[ "$tests" -gt 0 ] || complain "no START_TEST found"
echo "check_registration: $(wc -w <<<"$sources") sources, $tests unit tests"
exit $bad
