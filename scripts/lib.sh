# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What quickstart and check share: packages, steps, builds.  Sourced, not run; the caller sets
# "top" (the checkout) and "self" (its own name for messages).

# Debian's names; the same on 12 and 13 but for those below.
PACKAGES_BUILD="autoconf automake libtool pkgconf make gcc libc6-dev apache2-bin apache2-dev
    libapr1-dev libaprutil1-dev libssl-dev libhiredis-dev libsqlite3-dev libjansson-dev
    libcurl4-openssl-dev libkrb5-dev"
PACKAGES_RUN="$PACKAGES_BUILD apache2-utils openssl curl procps util-linux strongswan-pki
    libstrongswan-standard-plugins libstrongswan-extra-plugins"
PACKAGES_TEST="$PACKAGES_RUN check clang llvm libclang-rt-dev lcov valgrind redis-server haproxy
    certmonger python3 python3-pytest python3-pytest-xdist python3-cryptography sqlite3 jq
    softhsm2 opensc p11-kit p11-kit-modules krb5-kdc krb5-admin-server krb5-user
    libapache2-mod-auth-gssapi faketime
    iproute2 prometheus nginx"
# OpenSSL's way into a token: the engine of Debian 12, the provider of Debian 13; which has Valkey
case $(sed -n 's/^VERSION_ID=//p' /etc/os-release 2>/dev/null) in
*12*) PACKAGES_TEST="$PACKAGES_TEST libengine-pkcs11-openssl" ;;
*) PACKAGES_TEST="$PACKAGES_TEST pkcs11-provider valkey-server" ;;
esac

say() { printf '%s\n' "$*"; }

# Ends with what went wrong.
die() {
    printf '%s: %s\n' "$self" "$*" >&2
    exit 1
}

# Prints which of the packages $@ are not installed.
missing_packages() {
    local name
    for name in "$@"; do
        case $(dpkg-query -W -f '${Status}' "$name" 2>/dev/null) in
        *' installed') ;;
        *) printf '%s ' "$name" ;;
        esac
    done
}

# Installs what is missing of the packages $@; none of them starts a server here.
ensure_packages() {
    local missing root=
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        say "    no apt-get on this system: taking what is installed"
        return 0
    fi
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null ||
            die "packages are missing and this is not root; as root: apt-get install $missing"
        root=sudo
        [ -t 0 ] || root="sudo -n"
    fi
    say "    installing $(wc -w <<<"$missing") packages: $missing"
    # shellcheck disable=SC2086
    $root env DEBIAN_FRONTEND=noninteractive bash -s -- $missing \
        >"$logs/packages.log" 2>&1 <<'END' ||
set -e
rule=/usr/sbin/policy-rc.d
if [ ! -e $rule ]; then
    printf '#!/bin/sh\nexit 101\n' >$rule
    chmod 755 $rule
    trap 'rm -f $rule' EXIT
fi
options="-q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 -o Acquire::Retries=3"
apt-get $options update </dev/null
apt-get $options install --no-install-recommends "$@" </dev/null
END
        {
            tail -15 "$logs/packages.log" >&2
            die "apt-get failed (all of it: $logs/packages.log); needed: $missing"
        }
}

# Makes configure when it is not there or older than its sources; one at a time.
ensure_configure() {
    (
        flock 9
        if [ ! -x "$top/configure" ] || [ "$top/configure.ac" -nt "$top/configure" ] ||
            [ "$top/configure.ac" -nt "$top/Makefile.in" ] ||
            [ "$top/Makefile.am" -nt "$top/Makefile.in" ]; then
            "$top/scripts/bootstrap" && touch "$top/configure" "$top/Makefile.in"
        fi
    ) 9>"$top/build/.bootstrap.lock"
}

# build_tree DIR ARGUMENTS...: configures DIR once per set of arguments, then makes $TARGETS
build_tree() {
    local dir=$1 want
    shift
    mkdir -p "$dir"
    want="$(printf '%q ' "$top" "$@")"
    (
        flock 9
        cd "$dir" || exit 1
        if [ ! -f Makefile ] || [ "$(cat .configured 2>/dev/null)" != "$want" ] ||
            [ "$top/configure" -nt config.status ]; then
            rm -f .configured
            "$top/configure" "$@" || exit 1
            printf '%s' "$want" >.configured
        fi
        # shellcheck disable=SC2086
        make -j"$(jobs_here)" ${TARGETS:-all}
    ) 9>"$dir/.lock"
}

# Prints how many compilers may run at once.
jobs_here() {
    local n
    n=$(nproc 2>/dev/null) || n=2
    [ "$n" -le 4 ] || n=4
    echo "$n"
}
