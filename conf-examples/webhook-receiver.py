#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
A receiver for "ScepPolicy webhook": checks the signature, then allows devices whose common name is
in a list.  docs/policy.md describes what is asked.

    webhook-receiver.py SECRETFILE NAMESFILE [PORT]

Listens on 127.0.0.1 in the clear; for other hosts put it behind a server that speaks HTTPS.
"""
import hashlib
import hmac
import http.server
import json
import re
import sys
import time

MAX_BODY = 256 * 1024
MAX_AGE = 300       # seconds that a request may be old
SEEN = set()        # news can arrive twice; a real receiver forgets old ones


def lines(path):
    with open(path, encoding="utf-8") as file:
        return [line.strip() for line in file if line.strip() and not line.startswith("#")]


def signed(headers, body):
    """Whether one of the secrets (current, previous) signed the body, not long ago."""
    stamp = headers.get("X-Scep-Timestamp", "")
    given = headers.get("X-Scep-Signature", "").encode("ascii", "replace")
    good = False
    for secret in lines(sys.argv[1]):
        mac = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256)
        good |= hmac.compare_digest(given, b"sha256=" + mac.hexdigest().encode())
    return good and stamp.isdigit() and abs(time.time() - int(stamp)) <= MAX_AGE


def decide(asked):
    """The answer to a question."""
    name = re.search(r"(?:^|,)CN=([^,+]+)", asked["subject"])
    if name and name.group(1) in lines(sys.argv[2]):
        return {"allow": True}
    return {"allow": False, "reason": "not in the list", "text": "This device is not registered."}


class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_POST(self):
        body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), MAX_BODY))
        if not signed(self.headers, body):
            self.close_connection = True
            return self.answer(401, {})
        told = json.loads(body)
        if told["operation"] == "verify":
            return self.answer(200, decide(told))
        if told["id"] not in SEEN:
            SEEN.add(told["id"])
            print(told["event"], told["subject"], told.get("serial", ""), flush=True)
        return self.answer(200, {})

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    address = ("127.0.0.1", int(sys.argv[3]) if len(sys.argv) > 3 else 8710)
    http.server.ThreadingHTTPServer(address, Receiver).serve_forever()
