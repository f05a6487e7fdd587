"""The report of `nexus test` in JSON."""

from __future__ import annotations

from dataclasses import dataclass

from nexus_cli.diagnostics import Diagnostic, Place
from nexus_cli.json_value import JsonObject
from nexus_cli.project.testing.coverage import Share
from nexus_cli.project.testing.declared import Case
from nexus_cli.project.testing.judging import Result

FORMAT_VERSION = "1.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One test that ran.

    Attributes:
        case: What was declared.
        results: One per expectation, same order.
        error: Why it could not run; "".
        skipped: Why it was not run against simulators; "".
    """

    case: Case
    results: tuple[Result, ...] = ()
    error: str = ""
    skipped: str = ""

    @property
    def passed(self) -> bool:
        """It ran, and everything is as expected."""
        return not self.error and not self.skipped and all(one.passed for one in self.results)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What `nexus test` found.

    Attributes:
        live: It ran against simulators.
        site: `enterprise/site`; "" when it could not be read.
        tried: In the order of files and tests.
        findings: Of the site and the test files.
        broken: Names of tests that have findings, as `file/test`.
        coverage: Of all tests, those that `--only` leaves out too; () when the site could not be read.
    """

    site: str = ""
    tried: tuple[Tried, ...] = ()
    findings: tuple[Diagnostic, ...] = ()
    broken: tuple[str, ...] = ()
    coverage: tuple[Share, ...] = ()
    live: bool = False

    @property
    def passed(self) -> bool:
        """Everything ran and is as expected."""
        return all(one.passed or one.skipped for one in self.tried) and not any(
            one.severity == "error" for one in self.findings
        )


def document(report: Report) -> JsonObject:
    """The report as JSON; the text is rendered from it."""
    found: JsonObject = {
        "format_version": FORMAT_VERSION,
        "site": report.site,
        "passed": report.passed,
        "summary": {
            "tests": len(report.tried) + len(report.broken),
            "passed": sum(one.passed for one in report.tried),
            "failed": sum(not one.passed and not one.skipped for one in report.tried),
            "broken": len(report.broken),
            "assertions": sum(len(one.results) for one in report.tried),
        },
        "tests": [_test(one) for one in report.tried],
        "broken": list(report.broken),
        "diagnostics": [_finding(one) for one in report.findings],
        "coverage": {one.kind: one.to_json() for one in report.coverage},
    }
    if report.live:
        found["live"] = True
        found["summary"]["skipped"] = sum(bool(one.skipped) for one in report.tried)
    return found


def _test(one: Tried) -> JsonObject:
    found: JsonObject = {
        "name": one.case.name,
        "id": one.case.id,
        "file": one.case.file,
        "line": one.case.place.line if one.case.place else 0,
        "passed": one.passed,
        "error": one.error,
        "assertions": [_assertion(each) for each in one.results],
    }
    if one.skipped:
        found["skipped"] = one.skipped
    if one.case.description:
        found["description"] = one.case.description
    return found


def _assertion(one: Result) -> JsonObject:
    return {
        "kind": one.expectation.kind,
        "subject": one.expectation.subject,
        "passed": one.passed,
        "expected": one.expected,
        "got": one.got,
        "line": one.expectation.place.line if one.expectation.place else 0,
        "how": list(one.how),
    }


def _finding(one: Diagnostic) -> JsonObject:
    found: JsonObject = {
        "code": one.code,
        "severity": one.severity.value,
        "summary": one.message,
        "hint": one.hint,
    }
    if one.place is not None:
        found |= _place(one.place)
    return found


def _place(place: Place) -> JsonObject:
    return {"file": place.file, "line": place.line, "column": place.column}
