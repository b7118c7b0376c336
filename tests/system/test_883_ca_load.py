# SPDX-License-Identifier: Apache-2.0
"""Eight devices at a time through every backend: no error, and nothing that grows (tests/bench/backends, short)."""
import json
import subprocess

import pytest

import ca_double
import env
import hsm

NAMES = ["local", "local+pkcs11"] + [double.name for double in ca_double.all_doubles()] + ["vault-role"]


@pytest.fixture(scope="module")
def load():
    """The load generator, made when it is not there yet."""
    with env.lock("scep_load"):
        subprocess.run(["make", "-s", "-C", str(env.BUILD), "tests/bench/scep_load"], check=True,
                       stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("name", NAMES)
def test_eight_at_a_time(load, name):
    if name == "local+pkcs11" and hsm.why_not():
        pytest.skip(hsm.why_not())
    figures = env.folder("load") / "figures"
    done = subprocess.run([str(env.SOURCE / "tests" / "bench" / "backends"), "--build", str(env.BUILD), "--count",
                           "200", "--json", str(figures), name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False)
    assert done.returncode == 0, done.stdout.decode()
    row, = json.loads(figures.read_text())
    assert (row["backend"], row["asked"]) == (name, 20 if name == "exec" else 200)
    assert row["open"] <= 8 and row["handles"] <= 8 and row["processes"] <= 0
