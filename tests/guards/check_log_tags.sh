#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A log tag stands for one message: each SCEPTAG(nnnn) is in one place only, of the right range, and
# the tags that the system tests announce exist.
set -u

srcdir=${srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
cd "$srcdir" || exit 1
bad=0

complain() {
    echo "check_log_tags: $*"
    bad=1
}

# FILE:LINE:NUMBER of every use, also over a line's end; the example in common/log.h is none
uses=$(find common policy ca_backend mod_scep tests/mod_scep_fault -name '*.[ch]' \
    -not -path common/log.h -print0 | sort -z | xargs -0 perl -0777 -ne '
        while (/SCEPTAG\(\s*(\d+)\s*\)/g) {
            print "$ARGV:", 1 + (substr($_, 0, $-[0]) =~ tr/\n//), ":$1\n";
        }')
[ -n "$uses" ] || complain "no tag found in $srcdir"

for number in $(echo "$uses" | sed 's/.*://' | sort | uniq -d); do
    complain "SCEP$number is used more than once:"
    echo "$uses" | grep ":$number\$" | sed 's/^/    /'
done

while IFS=: read -r file line number; do
    [ ${#number} -eq 4 ] || complain "$file:$line: $number has not four digits"
    case $file in
    mod_scep/core/* | common/c*) first=0100 last=0199 ;;
    policy/* | common/grant*) first=0200 last=0299 ;;
    ca_backend/* | common/*) first=0300 last=0399 ;;
    mod_scep/*) first=0400 last=0599 ;;
    *) first=0900 last=0999 ;;
    esac
    if [[ $number < $first || $number > $last ]]; then
        complain "$file:$line: SCEP$number is outside $first-$last"
    fi
done <<<"$uses"

# a tag spelled by hand escapes the count
spelled=$(grep -rnE --include='*.c' '"SCEP[0-9]{4}' common policy ca_backend mod_scep)
[ -z "$spelled" ] || complain "write SCEPTAG(nnnn): $spelled"

if [ -d tests/system ]; then
    # 9999 is the one that a forged log line would have
    for number in $(grep -rhoE --include='*.py' '\bSCEP[0-9]{4}\b' tests/system | sort -u |
        sed 's/SCEP//' | grep -vx 9999); do
        echo "$uses" | grep -q ":$number\$" ||
            complain "tests/system announces SCEP$number, which nothing logs"
    done
fi
echo "check_log_tags: $(echo "$uses" | wc -l) tags"
exit $bad
