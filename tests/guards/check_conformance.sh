#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Each point of tests/conformance/points.json has a test, or says why not; each marker names one.
set -u

srcdir=${srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
if ! command -v python3 >/dev/null; then
    echo "check_conformance: skipped, there is no python3"
    exit 77
fi
PYTHONDONTWRITEBYTECODE=1 exec python3 "$srcdir/tests/conformance/generate.py" --static 2>&1
