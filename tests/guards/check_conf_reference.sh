#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A directive exists once the code, conf-examples/reference.conf, README's table and a system test
# name it; none of them names another.
set -u

srcdir=${srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
cd "$srcdir" || exit 1
bad=0

complain() {
    echo "check_conf_reference: $*"
    bad=1
}

# AP_INIT_...("ScepPath", ...), and the section by its macro
code=$(cat mod_scep/*.c | tr '\n' ' ' |
    grep -oE '(AP_INIT_[A-Z0-9_]+\([[:space:]]*|#define SECTION )"<?Scep[A-Za-z]+' |
    sed -E 's/.*"<?//' | sort -u)
[ "$(wc -w <<<"$code")" -gt 10 ] || complain "found only $(wc -w <<<"$code") directives in the code"

# "#ScepPath /certsrv" or "ScepPath /certsrv" or "<ScepService name>" starts a line
reference=$(sed -nE 's/^[[:space:]]*#?[[:space:]]*<?(Scep[A-Za-z]+)([[:space:]>].*)?$/\1/p' \
    conf-examples/reference.conf | sort -u)
# the first cell of README's table rows: "| `ScepPath PREFIX` | ..."
readme=$(sed -nE 's/^\| ([^|]*Scep[^|]*)\|.*/\1/p' README.md | grep -oE '\bScep[A-Za-z]+' | sort -u)
tests=$(grep -rhoE --include='*.py' '\bScep[A-Za-z]+' tests/system 2>/dev/null | sort -u)

compare() {
    local name
    for name in $(comm -23 <(echo "$code") <(echo "$2")); do
        complain "$name is in the code and not in $1"
    done
    [ "$3" = exactly ] || return
    for name in $(comm -13 <(echo "$code") <(echo "$2")); do
        complain "$name is in $1 and not in the code"
    done
}

compare conf-examples/reference.conf "$reference" exactly
compare "README.md's table" "$readme" exactly
[ ! -d tests/system ] || compare tests/system "$tests" at-least

for file in conf-examples/*.conf; do
    for name in $(grep -vE '^[[:space:]]*#' "$file" | grep -oE '^[[:space:]]*<?Scep[A-Za-z]+' |
        tr -d ' \t<' | sort -u); do
        grep -qxF "$name" <<<"$code" || complain "$file: $name is not in the code"
    done
done
echo "check_conf_reference: $(wc -w <<<"$code") directives"
exit $bad
