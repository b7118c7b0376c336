# SPDX-License-Identifier: Apache-2.0
"""50,000 damaged requests do not make the children grow."""
import os
import random
import threading

import pytest

import conf
import damage
import env
import pki

WARM_UP, COUNT, THREADS = 5000, 50000, 6


def requests(server, keys):
    """Whole HTTP requests as bytes, of all layers that a fast loop can send over one connection."""
    client = server.client()
    client.cacert()
    made = []

    def post(body):
        made.append(b"POST %s?operation=PKIOperation HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
                    % (client.path.encode(), len(body)) + body)
    damage.CURRENT["challenge"] = "0123456789ABCDEF"
    for layer, table in damage.rows(keys).items():
        for what, _, _ in table.values():
            if callable(what):
                what = what("0123456789ABCDEF")
            if isinstance(what, dict):
                post(client.spec(**dict(dict(key=keys[0], challenge="0123456789ABCDEF"), **what)).build())
            elif isinstance(what, damage.Post) and len(what.body) < 3000 and not what.chunked:
                post(what.body)
            elif isinstance(what, damage.Get) and len(what.query) < 3000 and what.method == "GET":
                made.append(b"GET %s?%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % (
                    client.path.encode(), what.query.encode()))
    good = client.spec(key=keys[0], challenge="0123456789ABCDEF").build()
    for offset in range(0, len(good), 40):
        post(damage.flip(offset)(good))
    return made


def flood(server, made, count):
    """Sends count of them by several threads, each over kept connections; statuses seen."""
    seen, errors = set(), []

    def run(seed, share):
        source = random.Random(seed)
        connection = server.connection(timeout=30)
        try:
            for _ in range(share):
                seen.add(connection.raw(source.choice(made)).status)
        except Exception as error:
            errors.append(repr(error))
        connection.close()
    threads = [threading.Thread(target=run, args=(n, count // THREADS)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors[:3]
    return seen


@pytest.mark.slow
def test_memory(factory, keys):
    if env.sanitizer_environment():
        pytest.skip("a sanitizer's own memory grows")
    lines = conf.Lines("CustomLog /dev/null common")
    server = factory.httpd([conf.Service(pki.make()).add("ScepFailureLimit 0")], server=lines, level="warn")
    server.write = lambda: _fixed(server)
    server.start()
    made = requests(server, keys)
    flood(server, made, WARM_UP)
    children, before = server.children(), server.rss()
    seen = flood(server, made, int(os.environ.get("SCEP_MEMORY_COUNT", COUNT)))
    after = server.rss()
    assert server.children() == children, "children came and went"
    assert seen <= {200, 400, 413}
    print("%d kB before, %d kB after" % (before, after))
    assert after - before < 4096, "%d kB before, %d kB after" % (before, after)
    server.enroll(keys[0])


def _fixed(server):
    """Two children for the whole run, so that their memory can be compared."""
    type(server).write(server)
    path = server.folder / "httpd.conf"
    text = path.read_text().replace(conf.WORKERS["event"], "StartServers 2\nServerLimit 2\nThreadsPerChild 8\n"
                                    "MaxRequestWorkers 16\nMinSpareThreads 1\nMaxSpareThreads 16")
    text = text.replace("scep:debug", "scep:warn").replace("CustomLog access_log scep\n", "")
    path.write_text(text)
