#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# House style that a machine can see: 100 columns (Python: 120), no tabs, no trailing space, no
# notes to self, the license line, files of at most 700 lines.
set -u

srcdir=${srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
cd "$srcdir" || exit 1
export LC_ALL=C.UTF-8
bad=0

complain() {
    echo "check_style: $*"
    bad=1
}

rooms="common policy ca_backend mod_scep tests scripts conf-examples .ci"
# shellcheck disable=SC2086
mapfile -t files < <(find $rooms -type f \
    \( -name '*.[ch]' -o -name '*.lua' -o -name '*.py' -o -name '*.sh' -o -name '*.conf' \
       -o -path 'scripts/*' -o -path '.ci/*' \) \
    -not -path '*/__pycache__/*' -not -path '*/.pytest_cache/*' -not -name redis_scripts.h \
    -not -name '*.tmp' 2>/dev/null | sort)
[ ${#files[@]} -gt 20 ] || complain "found only ${#files[@]} files in $srcdir"

notes="TO""DO|FIX""ME|X""XX"
for file in "${files[@]}"; do
    head -3 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0' ||
        complain "$file: no SPDX line on top"
    case $file in
    *.py) columns=120 ;;
    *) columns=100 ;;
    esac
    while IFS=: read -r line _; do
        complain "$file:$line: over $columns columns"
    done < <(grep -nE "^.{$((columns + 1)),}" "$file")
    while IFS=: read -r line _; do
        complain "$file:$line: space at the end of the line"
    done < <(grep -nE '[[:blank:]]+$' "$file")
    while IFS=: read -r line _; do
        complain "$file:$line: a note to self"
    done < <(grep -nwE "$notes" "$file" | grep -v mktemp)
    case $file in
    *.[ch] | *.lua | *.py)
        while IFS=: read -r line _; do
            complain "$file:$line: a tab"
        done < <(grep -nP '\t' "$file")
        ;;
    esac
    lines=$(wc -l <"$file")
    [ "$lines" -le 700 ] || complain "$file: $lines lines"
done
echo "check_style: ${#files[@]} files"
exit $bad
