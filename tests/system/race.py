#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""One racing client process: works off a list of enrollments, sends each again until it is decided.

Reads a JSON file {"keys": [PEM path], "seconds": N, "jobs": [{"url", "challenge", "subject", "txid", "key"}]};
writes a JSON list [{"txid", "challenge", "status", "serial", "leaf", "tries", "seconds"}] to the second argument.
With "spacing" a job begins so many seconds after the one before, with "stop" none begins once that file is there;
"progress" gets a line for each that is decided.  What never began is not in the list.
"""
import hashlib
import heapq
import http.client
import json
import os
import sys
import time

import scep_client as scep


class Racer:
    def __init__(self, order):
        self.keys = [scep.load_key(path) for path in order["keys"]]
        self.clients = {}
        begin, spacing = time.monotonic(), order.get("spacing", 0.0)
        self.queue = [(begin + number * spacing, number, job) for number, job in enumerate(order["jobs"])]
        self.end = begin + order["seconds"]
        self.timeout = order.get("timeout", 30)
        self.stop, self.progress = order.get("stop"), order.get("progress")
        self.specs, self.began, self.tries = {}, {}, {}

    def client(self, url):
        if url not in self.clients:
            self.clients[url] = scep.Client(url, timeout=self.timeout)
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

    def decided(self, job, result):
        """Fills in how long it took."""
        txid = job["txid"]
        result.update(tries=self.tries[txid], seconds=time.monotonic() - self.began[txid])
        del self.specs[txid]
        if self.progress:
            with open(self.progress, "a", encoding="ascii") as file:
                file.write(txid + "\n")

    def run(self):
        results = []
        while self.queue and time.monotonic() < self.end:
            if self.stop and os.path.exists(self.stop):
                self.queue = [entry for entry in self.queue if entry[2]["txid"] in self.began]
                heapq.heapify(self.queue)
                self.stop = None
                continue
            due, number, job = self.queue[0]
            if due > time.monotonic():
                time.sleep(0.02)
                continue
            heapq.heappop(self.queue)
            self.began.setdefault(job["txid"], time.monotonic())
            self.tries[job["txid"]] = self.tries.get(job["txid"], 0) + 1
            result = self.attempt(job)
            if result is None:
                heapq.heappush(self.queue, (time.monotonic() + 0.7, number, job))
            else:
                self.decided(job, result)
                results.append(result)
        results += [dict(txid=job["txid"], challenge=job["challenge"], status="undecided", serial=None, leaf=None,
                         tries=self.tries.get(job["txid"], 0), seconds=None) for _, _, job in self.queue]
        return results


def main():
    with open(sys.argv[1], encoding="ascii") as file:
        order = json.load(file)
    results = Racer(order).run()
    with open(sys.argv[2], "w", encoding="ascii") as file:
        json.dump(results, file)


if __name__ == "__main__":
    main()
