# SPDX-License-Identifier: Apache-2.0
"""The short form of tests/bench/race, soak and overload: connections cut, restarts under load, too many requests."""
import json
import subprocess

import pytest

import env

COUNT = 300


@pytest.fixture(scope="module")
def bench():
    """Runs one of the programs; its status, its figures, what it printed."""
    with env.lock("scep_load"):
        subprocess.run(["make", "-s", "-C", str(env.BUILD), "tests/bench/scep_load", "tests/bench/scep_storm"],
                       check=True, stdout=subprocess.DEVNULL)

    def run(name, *words):
        figures = env.folder("bench") / "figures"
        done = subprocess.run([str(env.SOURCE / "tests" / "bench" / name), "--build", str(env.BUILD), "--json",
                               str(figures), *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        text = done.stdout.decode()
        return done.returncode, json.loads(figures.read_text()) if figures.exists() else None, text
    return run


def test_race_with_cut_connections(bench):
    """One in ten is cut: a challenge has one certificate, and who was cut is decided like anybody."""
    status, figures, text = bench("race", "--count", str(COUNT), "--cut", "10", "--connections", "16")
    assert status == 0, text
    assert figures["certificates"] == figures["refused"] == figures["challenges"] == COUNT
    assert figures["cut"] > COUNT // 10 and figures["undecided"] == 0
    assert figures["sent"] == 2 * COUNT + figures["cut"] + figures["lost"] + figures["unavailable"]


@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_restarts_under_load(bench, store):
    status, figures, text = bench("soak", "--store", store, "--minutes", "0.15", "--every", "3", "--connections", "4")
    assert status == 0, text
    assert len(figures["rows"]) >= 3 and figures["total"]["enrolled"] > 0


def test_more_than_can_be_done(bench):
    """Who is served has a certificate, nobody else gets anything but 503 with Retry-After, GetCACert is answered."""
    status, figures, text = bench("overload", "--count", "100", "--loops", "1", "--times", "10", "--seconds", "3",
                                  "--server", "ScepConcurrency 1 1 50ms")
    assert status == 0, text
    hard = figures["overload"]
    assert hard["served"] > 0 and hard["unavailable"] > 0 and hard["probes"] > 0
    assert hard["other"] == 0 and hard["probes_failed"] == 0 and not hard["wrong"]
    assert hard["served"] + hard["unavailable"] <= hard["offered"]


@pytest.mark.parametrize("name, words, says", [
    ("overload", ["--times", "1"], "--times above 1"), ("overload", ["--loops", "61"], "--loops takes numbers"),
    ("race", ["--count", "1"], "--count from 2"), ("race", ["--cut", "51"], "--cut 0 to 50"),
    ("race", ["--connections", "61"], "--connections 1 to 60"), ("soak", ["--every", "1"], "--every from 2"),
    ("soak", ["--minutes", "0.5"], "one generation at least"), ("soak", ["--store", "paper"], "invalid choice")])
def test_words_that_do_not_work(bench, name, words, says):
    status, figures, text = bench(name, *words)
    assert status == 2 and says in text and figures is None
