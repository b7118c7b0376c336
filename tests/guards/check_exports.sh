#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# httpd loads modules into one name space: the module shows its record and nothing else.
set -u

builddir=${builddir:-$PWD}
module=$builddir/.libs/mod_scep.so

[ -f "$module" ] || { echo "check_exports: $module is not built"; exit 1; }
symbols=$(nm -D --defined-only "$module" | awk '{print $NF}')
if [ "$symbols" != scep_module ]; then
    echo "check_exports: expected scep_module alone, found:"
    echo "$symbols" | sed 's/^/    /'
    exit 1
fi
undefined=$(nm -D --undefined-only "$module" | awk '{print $NF}' |
    grep -E '^(scep|ca|policy|store|csr|crypt|grant|outcome|settings|log|redis_conn|http)_')
if [ -n "$undefined" ]; then
    echo "check_exports: undefined symbols of our own:"
    echo "$undefined" | sed 's/^/    /'
    exit 1
fi
echo "check_exports: scep_module alone"
