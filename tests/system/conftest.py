# SPDX-License-Identifier: Apache-2.0
"""Fixtures: servers that end with their scope, and an error_log that must hold nothing unannounced.

With SCEP_CONFORMANCE_OUT=FILE the run leaves there how the tests of tests/conformance/points.json ended.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import conf             # noqa: E402
import env              # noqa: E402
import httpd as httpds  # noqa: E402
import pki              # noqa: E402
import redis_nodes      # noqa: E402
import servers          # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "smoke: the fast part, also run with sanitizers and valgrind")
    config.addinivalue_line("markers", "needs(what): what the CA's double must have, or there is no such test")
    config.addinivalue_line("markers", "slow: takes more than ten seconds")
    config.addinivalue_line("markers", "conformance(*points): what the test shows, see tests/conformance")
    if "SCEP_TEST_BASE" not in os.environ:
        base = tempfile.mkdtemp(prefix="scept-", dir="/tmp")
        os.chmod(base, 0o755)
        os.environ["SCEP_TEST_BASE"] = base
        config.scep_base = base


def pytest_unconfigure(config):
    base = getattr(config, "scep_base", None)
    if base and os.environ.get("SCEP_KEEP") != "1":
        shutil.rmtree(base, ignore_errors=True)


CONFORMANCE = {}        # {test without its parameters: the worst result}


def pytest_runtest_logreport(report):
    """Runs where the summary is made, also with pytest-xdist."""
    if dict(report.user_properties).get("conformance") and (report.when == "call" or not report.passed):
        name = report.nodeid.split("[")[0].rsplit("/", 1)[-1]
        order = ("failed", "skipped", "passed")
        CONFORMANCE[name] = min(CONFORMANCE.get(name, "passed"), report.outcome, key=order.index)


def version(*command):
    """The number in a program's answer to a question on its version."""
    text = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout.decode()
    found = re.search(r"\d+\.\d+\.\d+", text)
    return found.group() if found else "?"


def pytest_sessionfinish(session):
    path = os.environ.get("SCEP_CONFORMANCE_OUT")
    if path and not hasattr(session.config, "workerinput"):
        versions = {"httpd": version(env.httpd_program(), "-v"), "OpenSSL": version("openssl", "version")}
        pathlib.Path(path).write_text(json.dumps(dict(tests=CONFORMANCE, versions=versions), indent=1,
                                                 sort_keys=True) + "\n")


def _lacks(item):
    """Whether the double that a test is for has not what the test needs."""
    marker = item.get_closest_marker("needs")
    return marker and not getattr(item.callspec.params["double"], marker.args[0], False)


def pytest_collection_modifyitems(items):
    items[:] = [item for item in items if not _lacks(item)]
    for item in items:
        if any(item.iter_markers("conformance")):
            item.user_properties.append(("conformance", True))
    if env.module() is None:
        skip = pytest.mark.skip(reason="mod_scep.so is not built in %s" % env.BUILD)
        for item in items:
            item.add_marker(skip)


class Factory:
    """Makes servers and stops them."""

    def __init__(self):
        self.made = []

    def httpd(self, services=None, **how):
        server = httpds.Httpd(services or [conf.Service(pki.make())], **how)
        self.made.append(server)
        return server

    def redis(self, **how):
        self.made.append(servers.Redis(**how))
        return self.made[-1].start()

    def sentinels(self, **how):
        self.made.append(redis_nodes.Sentinels(**how))
        return self.made[-1].start()

    def cluster(self, **how):
        self.made.append(redis_nodes.Cluster(**how))
        return self.made[-1].start()

    def haproxy(self, hosts):
        self.made.append(servers.Haproxy(hosts))
        return self.made[-1].start()

    def close(self):
        problems = []
        for server in reversed(self.made):
            server.stop()
            if server in httpds.live:
                httpds.live.remove(server)
                problems += server.log.check()
        assert not problems, "unannounced in error_log at the end:\n" + "\n".join(problems)


@pytest.fixture
def factory():
    """Servers of one test."""
    made = Factory()
    yield made
    made.close()


@pytest.fixture(scope="module")
def module_factory():
    """Servers of one test module."""
    made = Factory()
    yield made
    made.close()


@pytest.fixture(scope="module")
def server(module_factory):
    """A started httpd with one service, embedded store and RA certificates."""
    return module_factory.httpd().start()


@pytest.fixture(autouse=True)
def error_log_guard():
    """Fails the test for each line of level warn or above that it did not announce."""
    for server in httpds.live:
        server.log.begin()
    yield
    problems = []
    for server in httpds.live:
        problems += ["%s: %s" % (server.folder.name, line) for line in server.log.check()]
    assert not problems, "unannounced in error_log:\n" + "\n".join(problems)


@pytest.fixture(scope="session")
def keys():
    """A handful of RSA-2048 keys for devices."""
    return pki.device_keys(4)
