# SPDX-License-Identifier: Apache-2.0
"""Expired records go although nobody asks the service for anything."""
import sqlite3

import env


def rows(path):
    with sqlite3.connect(path) as database:
        return database.execute("SELECT count(*) FROM challenge").fetchone()[0]


def test_idle_service_is_swept(factory):
    server = factory.httpd().start()
    for _ in range(3):
        server.challenge()
    server.stop()
    path = next((server.folder / "state").glob("*.sqlite"))
    with sqlite3.connect(path) as database:
        database.execute("UPDATE challenge SET keep=1, expires=1 WHERE rowid < 3")
    assert rows(path) == 3
    server.start()
    env.wait_until(lambda: rows(path) == 1, 10, what="expired challenges are still there")
