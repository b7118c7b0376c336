# SPDX-License-Identifier: Apache-2.0
"""The simulator of docs/capacity.md: what the document says is what it computes."""
import subprocess
import sys
import xml.etree.ElementTree

import env

PROGRAM = env.SOURCE / "tests" / "bench" / "simulate"
DOCUMENT = env.SOURCE / "docs" / "capacity.md"


def test_the_document_has_its_figures(tmp_path):
    out = subprocess.run([sys.executable, PROGRAM, "--out", tmp_path], stdout=subprocess.PIPE, check=True,
                         timeout=300).stdout.decode()
    text = DOCUMENT.read_text()
    rows = [line for line in out.splitlines() if line.startswith("|")]
    assert len(rows) > 20 and all(row in text for row in rows)
    for name in ("capacity-push.svg", "capacity-outage.svg"):
        xml.etree.ElementTree.parse(tmp_path / name)
        assert (tmp_path / name).read_text() == (env.SOURCE / "docs" / name).read_text()


def test_a_small_storm_ends():
    out = subprocess.run([sys.executable, PROGRAM, "--devices", "1000", "--capacity", "10000", "--work", "1"],
                         stdout=subprocess.PIPE, check=True, timeout=300).stdout.decode()
    assert "not in 4 h" not in out
