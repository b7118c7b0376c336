#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A receiver for "ScepPolicy webhook" that allows devices whose common name is in a list (docs/policy.md):
    webhook-receiver.py SECRETFILE NAMESFILE [PORT]

Listens on 127.0.0.1 in the clear; for other hosts put it behind a server that speaks HTTPS."""
import hashlib
import hmac
import http.server
import json
import re
import sys
import time

MAX_BODY, MAX_AGE = 256 * 1024, 300     # bytes; seconds that a request may be old
SEEN, NO = set(), "This device is not registered."     # news can arrive twice; a real receiver forgets old ones


def lines(path):
    with open(path, encoding="utf-8") as file:
        return [line.strip() for line in file if line.strip() and not line.startswith("#")]


def signed(headers, body):
    """Whether one of the secrets (current, previous) signed the body, not long ago."""
    stamp, given = headers.get("X-Scep-Timestamp", ""), headers.get("X-Scep-Signature", "").encode("ascii", "replace")
    macs = [hmac.new(s.encode(), stamp.encode() + b"." + body, hashlib.sha256) for s in lines(sys.argv[1])]
    good = [hmac.compare_digest(given, b"sha256=" + mac.hexdigest().encode()) for mac in macs]
    return any(good) and stamp.isdigit() and abs(time.time() - int(stamp)) <= MAX_AGE


class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version, timeout = "HTTP/1.1", 30

    def do_POST(self):
        body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), MAX_BODY))
        if not signed(self.headers, body):
            self.close_connection = True
            return self.answer(401, {})
        told = json.loads(body)
        if told["operation"] == "verify":
            name = re.search(r"(?:^|,)CN=([^,+]+)", told["subject"])
            if name and name.group(1) in lines(sys.argv[2]):
                return self.answer(200, {"allow": True})
            return self.answer(200, {"allow": False, "reason": "not in the list", "text": NO})
        if told["id"] not in SEEN:
            SEEN.add(told["id"])
            print(told["event"], told["subject"], told.get("serial", ""), flush=True)
        return self.answer(200, {})

    def answer(self, status, value):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(json.dumps(value))))
        self.end_headers()
        self.wfile.write(json.dumps(value).encode())


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("127.0.0.1", int((sys.argv + ["8710"])[3])), Receiver).serve_forever()
