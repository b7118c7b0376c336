#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes docs/conformance.md from points.json and the results of a test run.

    generate.py --static                            every point has a test or a reason, every name exists
    generate.py --results JSON --unit TAP           writes docs/conformance.md
    generate.py --results JSON --unit TAP --check   says where docs/conformance.md differs from the run

JSON is what the system tests leave in SCEP_CONFORMANCE_OUT, TAP what the unit tests leave in CK_TAP_LOG_FILE_NAME.
System tests name their points by @pytest.mark.conformance("8894-17", ...); unit tests stand in points.json.
"""
import argparse
import ast
import json
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
RESULTS = ("failed", "not run", "skipped", "passed")    # the worst first


def read_points():
    with open(HERE / "points.json", encoding="utf-8") as file:
        return json.load(file)


def all_points(data):
    return [point for group in data["groups"] for point in group["points"]]


# What the sources say

def _marked(node, where):
    """Points of the conformance markers in an expression: a decorator, or a list of marks."""
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and \
                call.func.attr == "conformance":
            for argument in call.args:
                if not isinstance(argument, ast.Constant):
                    raise SystemExit("%s: a point is no literal" % where)
                yield argument.value


def system_tests():
    """{point: [test]} of the markers in tests/system."""
    found = {}
    for path in sorted((TOP / "tests" / "system").glob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        everywhere = []
        for node in tree.body:
            if isinstance(node, ast.Assign) and any(getattr(target, "id", "") == "pytestmark"
                                                    for target in node.targets):
                everywhere += _marked(node.value, path.name)
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                points = list(everywhere)
                for decorator in node.decorator_list:
                    points += _marked(decorator, path.name)
                for point in points:
                    tests = found.setdefault(point, [])
                    name = "%s::%s" % (path.name, node.name)
                    if name not in tests:
                        tests.append(name)
    return found


def unit_tests():
    """Names of all unit tests."""
    return {"%s:%s" % (path.name, name) for path in (TOP / "tests" / "unit").glob("test_*.c")
            for name in re.findall(r"^START_TEST\((\w+)\)", path.read_text(encoding="utf-8"), re.M)}


def static_problems(data):
    problems, points, known = [], all_points(data), unit_tests()
    ids = [point["id"] for point in points]
    problems += ["%s is there twice" % name for name in sorted({n for n in ids if ids.count(n) > 1})]
    marked = system_tests()
    for name in sorted(set(marked) - set(ids)):
        problems.append("%s: marked in %s, but no such point" % (name, ", ".join(marked[name])))
    for point in points:
        name = point["id"]
        problems += ["%s: no unit test %s" % (name, test) for test in point.get("unit", ()) if test not in known]
        if not marked.get(name) and not point.get("unit") and not point.get("why_not"):
            problems.append("%s has neither a test nor a reason why not" % name)
        if not point.get("text"):
            problems.append("%s says nothing" % name)
    return problems


# What the run says

def worst(results):
    return min(results, key=RESULTS.index) if results else "not run"


def unit_results(path):
    """{test: result} of a TAP file."""
    found = {}
    for line in pathlib.Path(path).read_text(encoding="utf-8", errors="replace").splitlines():
        match = re.match(r"(not )?ok \d+ - \S*?([^/\s:]+\.c):[^:]*:(\w+):", line)
        if match:
            name = "%s:%s" % (match.group(2), match.group(3))
            found[name] = worst([found.get(name, "passed"), "failed" if match.group(1) else "passed"])
    return found


def rows(data, run, units):
    """(group, [(point, [(test, result)])])"""
    marked, tests = system_tests(), run["tests"]
    for group in data["groups"]:
        points = []
        for point in group["points"]:
            found = [(name, tests.get(name, "not run")) for name in marked.get(point["id"], ())]
            found += [(name, units.get(name, "not run")) for name in point.get("unit", ())]
            points.append((point, found))
        yield group, points


def markdown(data, run, units):
    lines, points = [], list(rows(data, run, units))
    tested = sum(1 for _, group in points for _, found in group if found)
    total = sum(len(group) for _, group in points)
    lines += ["# Conformance", "", data["introduction"], "",
              "Run with %s. %d points, %d with a test, %d with a reason why not." % (
                  ", ".join("%s %s" % pair for pair in sorted(run["versions"].items())), total, tested,
                  total - tested), ""]
    for group, found in points:
        lines += ["## " + group["title"], ""]
        if group.get("text"):
            lines += [group["text"], ""]
        lines += ["| point | %swhat | test | result |" % ("section | " if group.get("sections") else ""),
                  "|---|%s---|---|---|" % ("---|" if group.get("sections") else "")]
        lines += [_row(group, point, tests) for point, tests in found]
        lines.append("")
    return "\n".join(lines)


def _row(group, point, tests):
    text = point["text"]
    if point.get("why_not"):
        text += " *%s: %s*" % ("In part" if tests else "Not done", point["why_not"])
    cells = [point["id"]] + ([point["section"]] if group.get("sections") else []) + [text]
    cells.append("<br>".join("`%s`" % name for name, _ in tests) or "–")
    cells.append(worst([result for _, result in tests]) if tests else "–")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def differences(old, new):
    """Lines of tables that differ; a test that this machine skips is no difference."""
    def table(text):
        return {line.split(" | ")[0]: line for line in text.splitlines() if line.startswith("| ")}
    before, after, problems = table(old), table(new), []
    for name in sorted(set(before) | set(after)):
        one, two = before.get(name, ""), after.get(name, "")
        same_text = one.rsplit(" | ", 1)[0] == two.rsplit(" | ", 1)[0]
        if one != two and not (same_text and two.endswith("| skipped |")):
            problems.append("%s\n    now  %s" % (one or name + " is new", two or "gone"))
    return problems


def main():
    parser = argparse.ArgumentParser(description="docs/conformance.md")
    parser.add_argument("--static", action="store_true")
    parser.add_argument("--results", help="JSON of the system tests")
    parser.add_argument("--unit", help="TAP of the unit tests")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    data = read_points()
    problems = static_problems(data)
    document = TOP / "docs" / "conformance.md"
    if not options.static:
        with open(options.results, encoding="utf-8") as file:
            run = json.load(file)
        text = markdown(data, run, unit_results(options.unit) if options.unit else {})
        if options.check:
            problems += differences(document.read_text(encoding="utf-8") if document.exists() else "", text)
        else:
            document.write_text(text, encoding="utf-8")
            print("%s: %s" % (document.name, next(l for l in text.splitlines() if l.startswith("Run with"))))
    for problem in problems:
        print("conformance: " + problem, file=sys.stderr)
    if options.static:
        print("conformance: %d points" % len(all_points(data)))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
