# SPDX-License-Identifier: Apache-2.0
"""docs/troubleshooting.md as data, and what an administrator can read of what happened."""
import json
import pathlib
import re

import cmtrace
import env
import scep_client as scep

HEADERS = [("Content-Type", "application/x-pki-message")]
FAIL_INFO = {"0": "badAlg", "1": "badMessageCheck", "2": "badRequest", "3": "badTime", "4": "badCertId"}
DOUBLE = ("ca-fault",)      # what only the CA of the tests says
PATH = env.SOURCE / "docs" / "troubleshooting.md"


def _cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def tables(path=PATH):
    """{heading: [{column: cell}]} of all tables; a heading's first one."""
    found, heading, header = {}, "", None
    for line in pathlib.Path(path).read_text("utf-8").splitlines():
        if line.startswith("#"):
            heading, header = line.lstrip("# "), None
        elif not line.startswith("|"):
            header = None
        elif header is None:
            header = _cells(line)
            found.setdefault(heading, [])
        elif not re.fullmatch(r"[|\s:-]+", line):
            found[heading].append(dict(zip(header, _cells(line))))
    return found


def symptoms():
    """{number: row} of all symptoms."""
    rows = [row for table in tables().values() for row in table if "Seen here" in row]
    assert len({row["No."] for row in rows}) == len(rows), "a number twice"
    return {row["No."]: row for row in rows}


def reasons():
    """{reason: row}"""
    rows = [row for table in tables().values() for row in table if "Reason" in row]
    found = {}
    for row in rows:
        for word in quoted(row["Reason"]):
            assert word not in found, word + " is there twice"
            found[word] = row
    return found


def quoted(cell):
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def missing(quotes, evidence):
    """Those that are not in evidence; an ellipsis stands for the rest of a line."""
    return [quote for quote in quotes if not re.search(
        "[^\n]*".join(re.escape(part) for part in quote.split("…")), evidence)]


def agrees(audit):
    """The row of the reason says what the device was told."""
    reason = audit["reason"]
    if reason in DOUBLE:
        return
    assert reason in reasons(), reason + " is not in docs/troubleshooting.md"
    answer = reasons()[reason]["Answer"]
    told = audit.get("failInfo") or "HTTP %d" % audit["httpStatus"]
    if audit["result"] in ("success", "pending"):
        told = audit["result"]
    assert told in answer and audit.get("hresult", "") in answer, (audit, answer)


class Evidence:
    """All that an administrator can read of what happened since it was made."""

    def __init__(self, server):
        self.server, self.seen = server, []
        self.marks = {name: self._size(name) for name in ("error_log", "audit.log", "policy.log")}

    def _size(self, name):
        path = self.server.folder / name
        return path.stat().st_size if path.exists() else 0

    def _new(self, name):
        path = self.server.folder / name
        return path.read_bytes()[self.marks[name]:] if path.exists() else b""

    def audit(self):
        return [json.loads(line) for line in self._new("audit.log").decode("utf-8").splitlines()]

    def add(self, *texts):
        self.seen += texts

    def response(self, response):
        text = "HTTP %d\n%s\n" % (response.status, "\n".join("%s: %s" % pair for pair in response.headers))
        if response.body[:2] == b"\xff\xfe":
            text += response.body.decode("utf-16")
        elif response.header("Content-Type") != "application/x-pki-message":
            text += response.body.decode("latin-1")
        self.add(text)
        return response

    def reply(self, reply):
        if reply.status == scep.FAILURE:
            self.add("failInfo %s\n%s" % (FAIL_INFO[reply.fail_info], reply.fail_text))
        if reply.hresult is not None:
            self.add("0x%08x" % (int(reply.hresult) & 0xffffffff))
        self.add({scep.PENDING: "PENDING", scep.SUCCESS: "SUCCESS"}.get(reply.status, "FAILURE"))
        return reply

    def text(self):
        lines = ["%s" % line["text"] for line in cmtrace.parse(self._new("policy.log"))]
        audit = self._new("audit.log").decode("utf-8")
        return "\n".join([self._new("error_log").decode("utf-8", "replace"), audit, *lines, *self.seen])


class World:
    """A server, its evidence, and short ways to do things."""

    def __init__(self, server, keys):
        self.server, self.keys, self.evidence = server, keys, Evidence(server)
        self.last = None        # client and spec of the last request

    def number(self, name):
        return [service.name for service in self.server.services].index(name)

    def challenge(self, name="corp", query=""):
        return json.loads(self.server.admin(query=query, service=self.number(name), headers=[
            ("Accept", "application/json")]).body)["challenge"]

    def client(self, name="corp"):
        return self.server.client(self.number(name), keep_alive=False)

    def send(self, client, spec, headers=HEADERS, **how):
        """Sends, and notes what came back; the reply or None."""
        self.last = client, spec
        response = self.evidence.response(client.send(spec.build(), headers=headers, **how))
        if response.status != 200:
            return None
        return self.evidence.reply(client.reply(response, spec))

    def enroll(self, name="corp", key=None, headers=HEADERS, **fields):
        client = self.client(name)
        return self.send(client, client.spec(key=key or self.keys[0], **fields), headers)

    def get(self, target, headers=()):
        return self.evidence.response(self.server.connection(keep_alive=False).request("GET", target, headers))

    def ready(self):
        return self.get("/ready")
