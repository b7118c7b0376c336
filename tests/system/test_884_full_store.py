# SPDX-License-Identifier: Apache-2.0
"""tests/bench/full_store, short: what it fills a store with is what the module left there, and the module goes on."""
import json
import subprocess

import env
import pytest


@pytest.fixture(scope="module", autouse=True)
def programs():
    """make check does not build them."""
    with env.lock("scep_load"):
        subprocess.run(["make", "-s", "-C", str(env.BUILD), "tests/bench/scep_load", "tests/bench/store_load"],
                       check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("store", ["sqlite", "redis-tls", "redis-cluster"])
def test_measures(store):
    folder = env.folder("full")
    done = subprocess.run([str(env.SOURCE / "tests" / "bench" / "full_store"), "--store", store, "--build",
                           str(env.BUILD), "--challenges", "30", "--transactions", "200", "--count", "20", "--rounds",
                           "1", "--connections", "4", "--folder", str(folder), "--json", str(folder / "report")],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 0, done.stderr.decode()
    report = json.loads((folder / "report").read_text())
    assert report["filled"][1][1] > 0
    # but for what it thinks of a Redis without replicas
    assert not [line for lines in report["complaints"].values() for line in lines if "SCEP0212" not in line]
    for name in ("empty", "full"):
        figures = report["rounds"][0][name]
        assert figures["enroll"]["count"] == 20 and figures["enroll"]["failures"] == 0
        # claims sweep as well, and on a slow machine all there is
        assert figures["direct"]["sweep"]["sweeps"] >= 1
