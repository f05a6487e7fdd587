"""The report of `nexus test` as text, GitHub annotations and JUnit XML; all from its JSON form.

Source: the JUnit 10 schema of Jenkins' xUnit plugin and Maven Surefire's `surefire-test-report.xsd`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from nexus_cli.cli.views.findings import block
from nexus_cli.cli.views.github import escape, escape_property
from nexus_cli.cli.views.junit import attribute, xml_text
from nexus_cli.diagnostics.wording import counted

Style = Callable[[str, str], str]
Document = dict[str, Any]
MOST_UNTOUCHED = 50
"""Names of a kind that the text lists; JSON has all."""


def text(report: Document, *, style: Style, coverage: bool = False) -> str:
    """For people: findings, failed tests with what was expected, coverage, and one line that sums up."""
    lines = [block(_as_finding(item), style) for item in report["diagnostics"]]
    for test in report["tests"]:
        if "skipped" in test:
            lines.append(f"{style('--  ', 'warning')} {test['id']}: not run live, {test['skipped']}")
            continue
        mark = style("ok  ", "good") if test["passed"] else style("FAIL", "error")
        lines.append(f"{mark} {test['id']}")
        lines += _failures(test)
    lines += [f"{style('--  ', 'warning')} {name}: not run, see above" for name in report["broken"]]
    if report["tests"] or report["broken"]:
        lines.append("")
    if coverage:
        lines += _coverage(report)
    lines.append(_summary(report))
    return "\n".join(lines)


def _as_finding(item: Document) -> Document:
    """A finding of the report as `nexus validate` has it in JSON, so that both look the same."""
    found = {"severity": item["severity"], "code": item["code"], "summary": item["summary"], "detail": item["hint"]}
    if "file" in item:
        start = {"line": item["line"], "column": item["column"]}
        found["range"] = {"filename": item["file"], "start": start}
    return found


def _failures(test: Document) -> list[str]:
    lines = [f"     {test['file']}:{test['line']}: {test['error']}"] if test["error"] else []
    for one in test["assertions"]:
        if one["passed"]:
            continue
        lines.append(f"     {test['file']}:{one['line']}: {one['kind']} {one['subject']}")
        lines.append(f"       expected: {one['expected']}")
        lines.append(f"       got:      {one['got']}")
        lines += [f"       {step}" for step in one["how"]]
    return lines


def _coverage(report: Document) -> list[str]:
    lines = []
    for kind, share in report["coverage"].items():
        lines.append(f"{kind}: {share['touched']} of {share['total']} touched by tests ({share['percent']:g} %)")
        untouched = share["untouched"]
        lines += [f"  not touched: {name}" for name in untouched[:MOST_UNTOUCHED]]
        if len(untouched) > MOST_UNTOUCHED:
            lines.append(f"  … and {len(untouched) - MOST_UNTOUCHED:,} more; `--format json` lists all of them")
    return [*lines, ""] if lines else []


def _summary(report: Document) -> str:
    counts = report["summary"]
    if not counts["tests"] and not report["passed"]:
        return "No test ran."
    words = [f"{counts['passed']} passed"]
    kinds = (("failed", "failed"), ("broken", "not run"), ("skipped", "not run live"))
    words += [f"{counts[key]} {word}" for key, word in kinds if counts.get(key)]
    return f"{counted(counts['tests'], 'test')}, {counted(counts['assertions'], 'assertion')}: {', '.join(words)}"


def github(report: Document) -> str:
    """One `::error` line a finding and a failed assertion, then the summary."""
    lines = []
    for item in report["diagnostics"]:
        command = {"error": "error", "warning": "warning"}.get(item["severity"], "notice")
        words = item["summary"] + (f"\n{item['hint']}" if item["hint"] else "")
        lines.append(_annotation(command, item.get("file", ""), item.get("line", 0), item["code"], words))
    for test in report["tests"]:
        if test["error"]:
            lines.append(_annotation("error", test["file"], test["line"], test["id"], test["error"]))
        for one in test["assertions"]:
            if not one["passed"]:
                words = f"{one['kind']} {one['subject']}: expected {one['expected']}, got {one['got']}"
                lines.append(_annotation("error", test["file"], one["line"], test["id"], words))
    return "\n".join([*lines, _summary(report)])


def _annotation(command: str, file: str, line: int, title: str, words: str) -> str:
    place = f"file={escape_property(file)},line={line}," if file else ""
    return f"::{command} {place}title={escape_property(title)}::{escape(words)}"


def junit(report: Document) -> str:
    """A suite a file, a case a test; findings and tests that could not run are errors."""
    suites: dict[str, list[str]] = defaultdict(list)
    failures: dict[str, int] = defaultdict(int)
    skipped: dict[str, int] = defaultdict(int)
    errors: dict[str, int] = defaultdict(int)
    for test in report["tests"]:
        file = test["file"]
        failed = [one for one in test["assertions"] if not one["passed"]]
        errors[file] += bool(test["error"])
        skipped[file] += "skipped" in test
        failures[file] += bool(failed) and not test["error"]
        suites[file].append(_case(test, failed))
    for item in report["diagnostics"]:
        if item["severity"] != "error":
            continue
        file = item.get("file") or report["site"] or "site"
        errors[file] += 1
        name = f"{item['code']} {item.get('line', '')}".strip()
        words = item["summary"] + (f"\n{item['hint']}" if item["hint"] else "")
        inner = f"<error type={attribute(item['code'])} message={attribute(item['summary'])}>{xml_text(words)}</error>"
        suites[file].append(
            f'    <testcase classname={attribute(file)} name={attribute(name)} time="0">{inner}</testcase>'
        )
    known = {test["file"] for test in report["tests"]} | {each.get("file") for each in report["diagnostics"]}
    total = sum(len(cases) for cases in suites.values())
    head = f'tests="{total}" failures="{sum(failures.values())}" errors="{sum(errors.values())}"'
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f'<testsuites name="nexus test" {head}>']
    for file, cases in suites.items():
        counts = f'tests="{len(cases)}" failures="{failures[file]}" errors="{errors[file]}" skipped="{skipped[file]}" time="0"'
        of = f" file={attribute(file)}" if file in known else ""
        lines += [f"  <testsuite name={attribute(file)}{of} {counts}>", *cases, "  </testsuite>"]
    return "\n".join([*lines, "</testsuites>", ""])


def _case(test: Document, failed: list[Document]) -> str:
    head = f"    <testcase classname={attribute(test['id'].partition('/')[0])} name={attribute(test['name'])}"
    head += ' time="0"'
    if test["error"]:
        return f'{head}><error type="run" message={attribute(test["error"])}/></testcase>'
    if "skipped" in test:
        return f"{head}><skipped message={attribute(test['skipped'])}/></testcase>"
    if not failed:
        return f"{head}/>"
    # Surefire allows one failure a case: the first is its message, all of them are its text.
    words = "\n".join(line.strip() for line in _failures(test))
    first = f"{failed[0]['kind']} {failed[0]['subject']}: expected {failed[0]['expected']}, got {failed[0]['got']}"
    return f'{head}><failure type="assertion" message={attribute(first)}>{xml_text(words)}</failure></testcase>'
