# SPDX-License-Identifier: Apache-2.0
"""error_log under guard: a line of level warn or above that the test did not announce fails it."""
import re

from env import wait_until

_LEVEL = re.compile(r"^\[[^]]*\] \[(?:(\w*):)?(emerg|alert|crit|error|warn|notice|info|debug|trace\d)\]")
_BAD = re.compile(r"exit signal|AddressSanitizer|LeakSanitizer|runtime error:|Assertion|double free|malloc\(\)")
_NOISE = re.compile(r"Bad file descriptor: AH0309[23]")   # mpm_event, stopped under an open connection
_LOUD = ("emerg", "alert", "crit", "error", "warn")


class ErrorLog:
    def __init__(self, path):
        self.path = path
        self.checked = 0            # bytes that check() has seen
        self.mark = 0               # where the running test began
        self.expected = []

    def text(self, start=0):
        try:
            with open(self.path, "rb") as file:
                file.seek(start)
                return file.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def size(self):
        return len(self.text().encode("utf-8", "surrogateescape")) if not self.path.exists() \
            else self.path.stat().st_size

    def expect(self, *patterns):
        """Announces lines: SCEPnnnn, AHnnnnn, or any regular expression."""
        self.expected += [re.compile(pattern) for pattern in patterns]

    def lines(self, pattern="", start=None):
        """Lines since the test began that match."""
        text = self.text(self.mark if start is None else start)
        return [line for line in text.splitlines() if re.search(pattern, line)]

    def wait(self, pattern, timeout=10):
        """The first matching line since the test began."""
        return wait_until(lambda: self.lines(pattern), timeout,
                          what="no line in error_log matches %r:\n%s" % (
                              pattern, "\n".join(self.lines()[-20:])))[0]

    def begin(self):
        self.expected = []
        self.mark = self.size()

    def check(self):
        """Lines nobody announced, since the last check."""
        text = self.text(self.checked)
        end = text.rfind("\n") + 1
        self.checked += len(text[:end].encode("utf-8", "replace"))
        return [line for line in text[:end].splitlines() if self._loud(line)
                and not any(pattern.search(line) for pattern in self.expected)]

    @staticmethod
    def _loud(line):
        match = _LEVEL.match(line)
        if _BAD.search(line):
            return True
        return bool(match) and match.group(2) in _LOUD and not _NOISE.search(line)
