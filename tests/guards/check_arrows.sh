#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Who may include whom: mod_scep/*.c -> mod_scep/core -> {policy.h, ca_backend.h} -> common, and the
# libraries that only one file may see.
set -uf

srcdir=${srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
cd "$srcdir" || exit 1
bad=0
count=0

complain() {
    echo "check_arrows: $1:$2 includes $3: $4"
    bad=1
}

# Returns whether the system header $1 is httpd's (not APR's).
is_httpd() {
    case $1 in
    httpd.h | http_*.h | ap_*.h | util_*.h | unixd.h | mpm_common.h | scoreboard.h | mod_*.h | \
        os.h) return 0 ;;
    esac
    return 1
}

# <header> in FILE
check_system() {
    local file=$1 line=$2 header=$3
    if is_httpd "$header"; then
        case $file in
        mod_scep/mod_scep*.[ch] | tests/mod_scep_fault/*) ;;
        *) complain "$file" "$line" "<$header>" "only mod_scep/*.c sees httpd" ;;
        esac
    fi
    case $header in
    hiredis*)
        case $file in
        policy/store/redis_*.[ch] | policy/store/store_redis*.[ch]) ;;
        *) complain "$file" "$line" "<$header>" "hiredis belongs to policy/store/*redis*" ;;
        esac ;;
    sqlite3.h)
        case $file in
        policy/store/store_sqlite*.[ch] | tests/unit/*) ;;
        *) complain "$file" "$line" "<$header>" "SQLite belongs to store_sqlite" ;;
        esac ;;
    jansson.h)
        case $file in
        mod_scep/mod_scep_admin*.c | mod_scep/mod_scep_status* | mod_scep/mod_scep_ready.c) ;;
        mod_scep/mod_scep_audit.c | mod_scep/mod_scep_cmtrace.c) ;;
        policy/policy_*.c | common/json_text.c | ca_backend/ca_*.c | tests/unit/*) ;;
        *) complain "$file" "$line" "<$header>" "jansson belongs to pages, logs, policies, CAs" ;;
        esac ;;
    curl/*)
        case $file in
        common/http_client*.[ch]) ;;
        *) complain "$file" "$line" "<$header>" "libcurl belongs to common/http_client" ;;
        esac ;;
    krb5.h | gssapi*)
        case $file in
        common/http_ticket_keys.c | common/http_ticket_krb5.c | tests/*) ;;
        *) complain "$file" "$line" "<$header>" "Kerberos belongs to common/http_ticket_k*.c" ;;
        esac ;;
    check.h)
        case $file in
        tests/*) ;;
        *) complain "$file" "$line" "<$header>" "Check belongs to the tests" ;;
        esac ;;
    esac
}

# "header" in FILE, resolved to a path from the top
check_own() {
    local file=$1 line=$2 header=$3 may
    if [ "$header" = common/grant_make.h ]; then
        case $file in
        policy/policy.c | common/grant.c | tests/*) ;;
        *) complain "$file" "$line" "$header" "only policy.c makes a grant" ;;
        esac
    fi
    case $file in
    common/*) may='common/*' ;;
    policy/store/*) may='policy/store/*|common/*' ;;
    policy/policy.[ch]) may='policy/*|common/*' ;;
    policy/*) may='policy/policy*.h|policy/store/store.h|common/*' ;;
    ca_backend/*) may='ca_backend/*|common/*' ;;
    mod_scep/core/*)
        may='mod_scep/core/*|policy/policy.h|ca_backend/ca_*.h|common/*' ;;
    mod_scep/*)
        may='mod_scep/*|policy/policy.h|policy/policy_bound.h|policy/policy_attributes.h|'
        may=$may'policy/policy_point.h|policy/store/store.h|policy/store/store_tally.h|'
        may+='ca_backend/ca_*.h|common/*' ;;
    tests/mod_scep_fault/*)
        may='tests/mod_scep_fault/*|mod_scep/mod_scep.h|policy/store/store.h|'
        may+='ca_backend/*|common/*' ;;
    tests/*) may='[!m]*|mod_scep/core/*' ;;
    esac
    local pattern
    local IFS='|'
    for pattern in $may; do
        # shellcheck disable=SC2254
        case $header in $pattern) return ;; esac
    done
    complain "$file" "$line" "$header" "this room may see only $may"
}

while IFS=: read -r file line text; do
    count=$((count + 1))
    header=$(sed -E 's/^[^<"]*[<"]([^>"]*)[>"].*/\1/' <<<"$text")
    case $text in
    *'<'*) check_system "$file" "$line" "$header" ;;
    *)
        if is_httpd "$header" && [ ! -f "$(dirname "$file")/$header" ]; then
            check_system "$file" "$line" "$header"
        else
            check_own "$file" "$line" \
                "$(realpath -m --relative-to=. "$(dirname "$file")/$header")"
        fi ;;
    esac
done < <(grep -rnE --include='*.[ch]' '^[[:space:]]*#[[:space:]]*include\b' \
    common policy ca_backend mod_scep tests)

if [ "$count" -lt 50 ]; then
    echo "check_arrows: found only $count includes in $srcdir"
    bad=1
fi
# the core's objects are compiled without httpd's include path: Makefile.am must keep it so
if grep -E '^lib[a-z]+_la_CPPFLAGS' "$srcdir/Makefile.am" | grep -q HTTPD_CPPFLAGS; then
    echo "check_arrows: Makefile.am gives a library httpd's include path"
    bad=1
fi
echo "check_arrows: $count includes"
exit $bad
