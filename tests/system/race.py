#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""One racing client process: works off a list of enrollments, sends each again until it is decided.

Reads a JSON file {"keys": [PEM path], "seconds": N, "jobs": [{"url", "challenge", "subject", "txid", "key"}]};
writes a JSON list [{"txid", "challenge", "status", "serial", "leaf"}] to the second argument.
"""
import hashlib
import http.client
import json
import sys
import time

import scep_client as scep


class Racer:
    def __init__(self, order):
        self.keys = [scep.load_key(path) for path in order["keys"]]
        self.clients = {}
        self.queue = [(0.0, number, job) for number, job in enumerate(order["jobs"])]
        self.end = time.monotonic() + order["seconds"]
        self.specs = {}

    def client(self, url):
        if url not in self.clients:
            self.clients[url] = scep.Client(url, timeout=30)
            self.clients[url].cacert()
        return self.clients[url]

    def attempt(self, job):
        """The result of one try, None: undecided."""
        try:
            client = self.client(job["url"])
            if job["txid"] not in self.specs:
                self.specs[job["txid"]] = client.spec(key=self.keys[job["key"]], challenge=job["challenge"],
                                                      subject=job["subject"], txid=job["txid"])
            spec = self.specs[job["txid"]]
            response = client.send(spec.build())
        except (OSError, http.client.HTTPException, scep.ScepError):
            return None
        if response.status in (502, 503, 504):
            return None
        reply = client.reply(response, spec)
        result = dict(txid=job["txid"], challenge=job["challenge"], status=reply.status, serial=None, leaf=None)
        if reply.status == scep.SUCCESS:
            result.update(serial="%032X" % reply.leaf.serial_number,
                          leaf=hashlib.sha256(reply.issued[0]).hexdigest())
        return result

    def run(self):
        results = []
        while self.queue and time.monotonic() < self.end:
            due, number, job = self.queue.pop(0)
            if due > time.monotonic():
                self.queue.append((due, number, job))
                if min(entry[0] for entry in self.queue) > time.monotonic():
                    time.sleep(0.05)
                continue
            result = self.attempt(job)
            if result is None:
                self.queue.append((time.monotonic() + 0.7, number, job))
            else:
                del self.specs[job["txid"]]
                results.append(result)
        results += [dict(txid=job["txid"], challenge=job["challenge"], status="undecided", serial=None, leaf=None)
                    for _, _, job in self.queue]
        return results


def main():
    with open(sys.argv[1], encoding="ascii") as file:
        order = json.load(file)
    results = Racer(order).run()
    with open(sys.argv[2], "w", encoding="ascii") as file:
        json.dump(results, file)


if __name__ == "__main__":
    main()
