"""`nexus test`: the assertions of a site's test files against the pure chain. Opens no socket and writes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from nexus_cli.access.people import ANY_TIME
from nexus_cli.access.questions import Book
from nexus_cli.diagnostics import Diagnostic
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.outcome import has_errors
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.drivers.base import DriverError
from nexus_cli.model.resolve import snapshot_of
from nexus_cli.project.testing.coverage import Share, coverage
from nexus_cli.project.testing.declared import Case
from nexus_cli.project.testing.document import Report, Tried
from nexus_cli.project.testing.file_text import TestFile
from nexus_cli.project.testing.judging import Judge
from nexus_cli.project.testing.names import SiteNames
from nexus_cli.project.testing.plant import Plant, Record
from nexus_cli.project.testing.reading import read_tests
from nexus_cli.project.text import locate, read
from nexus_cli.source.nodes import SourceFile

FOLDER = "tests"
"""Beside the site file."""


def run_tests(
    site: Path | str | None,
    *,
    only: Sequence[str] = (),
    env: str | None = None,
    variables: Mapping[str, str] | None = None,
    coverage_min: float | None = None,
) -> tuple[Report, tuple[SourceFile, ...]]:
    """Run the tests of a site.

    Args:
        site: The site file, its folder, or None for the only one.
        only: Globs over `file/test`; () is all.
        env: Overlay.
        variables: Values over the declared `vars`.
        coverage_min: Least coverage in percent of tags, alarms and rights; None asks for none.

    Returns:
        The report, and the texts that its findings quote.
    """
    reading = read(site, env=env, variables=variables)
    located = locate(site).value
    if located is None or reading.model is None or has_errors(reading.findings):
        return Report(findings=reading.findings), reading.files
    moved = tuple((one.from_, one.to) for one in reading.model.site.moved)
    names = SiteNames(snapshot_of(reading.model), moved)
    folder = located.parent / FOLDER
    files = [read_tests(path, names) for path in sorted((*folder.glob("*.yaml"), *folder.glob("*.yml")))]
    sources = (*reading.files, *(one.source for one in files))
    every = [case for one in files for case in one.cases]
    broken = _broken(files)
    chosen = [case for case in every if _chosen(case.id, only)]
    findings = [found for one in files for found in one.findings]
    wanted_broken = [name for name in broken if _chosen(name, only)]
    if not files:
        findings.append(_no_files(folder))
    elif only and not chosen and not wanted_broken:
        known = [*(case.id for case in every), *broken]
        hint = did_you_mean(only[0], known) or "write a glob over `file/test`"
        findings.append(finding("NX1107", f"no test matches '{only[0]}'", hint=hint))
    book = Book(names.snapshot, ANY_TIME)
    judge = Judge(names, book, [one.code for one in reading.findings])
    shares = coverage(names, book, every)
    findings += _too_little(shares, coverage_min)
    report = Report(
        site=f"{names.snapshot.enterprise}/{names.snapshot.site}",
        tried=tuple(_tried(names, judge, case) for case in chosen),
        findings=tuple(findings),
        broken=tuple(wanted_broken),
        coverage=shares,
    )
    return report, sources


def _chosen(name: str, only: Sequence[str]) -> bool:
    return not only or any(fnmatchcase(name, one) or fnmatchcase(name.partition("/")[2], one) for one in only)


def _broken(files: Sequence[TestFile]) -> list[str]:
    """Tests that have findings, as `file/test`."""
    found = []
    for one in files:
        ready = {case.name for case in one.cases}
        stem = one.source.path.stem
        found += [f"{stem}/{name}" for name in one.named if name not in ready]
    return found


def _no_files(folder: Path) -> Diagnostic:
    message = f"there is no test file in '{folder.as_posix()}'"
    return finding("NX1107", message, hint="write tests/first.yaml beside the site file; see docs/testing.md")


def _too_little(shares: Sequence[Share], least: float | None) -> list[Diagnostic]:
    return [
        finding(
            "NX1108",
            f"tests touch {one.touched} of {one.total} {one.kind}, {one.percent:.1f} %, and {least:g} % are asked for",
            hint="`nexus test --coverage` lists what no test touches",
        )
        for one in shares
        if least is not None and one.percent < least
    ]


def _tried(names: SiteNames, judge: Judge, case: Case) -> Tried:
    paths = [one.path for one in case.given]
    for one in case.expected:
        if one.kind in ("sample", "row"):
            paths.append(one.subject)
        elif one.kind == "topic":
            paths.append(one.subject.removeprefix(names.prefix))
    try:
        record = Plant(names, paths).run(case.given, case.end_ms) if paths or _alarms(case) else Record()
    except (DriverError, ValueError) as error:
        return Tried(case=case, error=str(error))
    return Tried(case=case, results=tuple(judge.judged(case, record)))


def _alarms(case: Case) -> bool:
    return any(one.kind == "alarm" for one in case.expected)
