# SPDX-License-Identifier: Apache-2.0
"""The other end of ScepPolicy webhook: a server over real TLS that answers as a test wants."""
import hashlib
import hmac
import json

import env
import tls_double

SECRET = "f00dfeedf00dfeedf00dfeedf00dfeed"


class Handler(tls_double.Handler):
    def do_POST(self):
        hook = self.double
        body = self.body()
        mac = hmac.new(hook.secret.encode(), self.headers["X-Scep-Timestamp"].encode() + b"." + body,
                       hashlib.sha256)
        assert self.headers["X-Scep-Signature"] == "sha256=" + mac.hexdigest()
        told = json.loads(body)
        hook.heard(told)
        if told["operation"] == "verify":
            hook.gate.wait(30)
        elif hook.hang and hook.hangs_for in (None, told["transactionID"]):
            hook.hang.wait(30)
        status, headers, answer = hook.answer if told["operation"] == "verify" else hook.thanks
        self.say(status, headers, answer if isinstance(answer, bytes) else json.dumps(answer).encode())


class Webhook(tls_double.Double):
    """It says yes unless answer (status, headers, body) is set to something else."""

    def __init__(self, kind="good", mutual=False):
        self.secret, self.told = SECRET, []
        self.hang = None        # set: news are not answered until the event,
        self.hangs_for = None   # those of this transaction; None: of all
        super().__init__(Handler, "webhook", kind, mutual)
        self.files.write("secret", (SECRET + "\n").encode())
        self.allow()

    def heard(self, told):
        with self.lock:
            self.told.append(told)

    def of(self, operation):
        with self.lock:
            return [told for told in self.told if told["operation"] == operation]

    def news(self, txid, count=1, timeout=20):
        """The news of a transaction, once there are so many."""
        def found():
            got = [told for told in self.of("notify") if told["transactionID"] == txid]
            return got if len(got) >= count else None
        return env.wait_until(found, timeout, what="no news of %s" % txid)

    def allow(self):
        """Says yes at once."""
        self.answer, self.thanks = (200, (), {"allow": True}), (200, (), {})
        self.gate.set()

    def policy(self, *more, url=None):
        """The directive."""
        return "ScepPolicy webhook url=%s secretFile=%s caFile=%s %s" % (
            url or self.url + "/scep", self.folder / "secret", self.folder / "ca.pem",
            " ".join(more))
