# SPDX-License-Identifier: Apache-2.0
"""Reads CMTrace lines back: the grammar that its viewers use, and nothing besides."""
import re

LINE = re.compile(
    r'<!\[LOG\[(?P<text>(?:(?!\]LOG\]!>|<!\[LOG\[).)*)\]LOG\]!>'
    r'<time="(?P<time>\d\d:\d\d:\d\d\.\d{3}[+-]\d{2,3})" date="(?P<date>\d\d-\d\d-\d{4})" '
    r'component="(?P<component>[A-Za-z]+)" context="(?P<context>[^"<>]*)" type="(?P<type>[123])" '
    r'thread="(?P<thread>\d+)" file="(?P<file>[^"<>]*)">')


def parse(data):
    """The lines of a whole log as dictionaries; anything that is none is an error."""
    text = data.decode("utf-8")
    assert text == "" or text.endswith("\n")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", text)
    found = []
    for line in text.split("\n")[:-1]:
        match = LINE.fullmatch(line)
        assert match, "not in CMTrace's format: %r" % line
        found.append(match.groupdict())
    return found


def phase(number, passed):
    """How CRP.log ends a phase, spelled as it does."""
    if number == 2 and passed:
        return "Validation Phase 2 finished."
    return "Validation Phase %d %s with status %s." % (number, "finised" if number == 1 else "finished", passed)
