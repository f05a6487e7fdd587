"""`nexus test`: the assertions of a site's test files against the pure chain. Opens no socket and writes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from nexus_cli.access.people import ANY_TIME
from nexus_cli.access.questions import Book
from nexus_cli.diagnostics import Diagnostic
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.outcome import has_errors
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.drivers.base import DriverError
from nexus_cli.model.bound import Model
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Tests that were read and chosen.

    Attributes:
        names: What they may name.
        judge: Compares with a record.
        chosen: The tests to run, in the order of files and tests.
        findings: Of the site's test files.
        broken: Names of chosen tests that have findings.
        coverage: Of all tests.
    """

    names: SiteNames
    judge: Judge
    chosen: tuple[Case, ...]
    findings: tuple[Diagnostic, ...]
    broken: tuple[str, ...]
    coverage: tuple[Share, ...]

    def report(self, tried: Sequence[Tried], findings: Sequence[Diagnostic] = (), *, live: bool = False) -> Report:
        """The report of these results, with what was found while they ran."""
        return Report(
            site=f"{self.names.snapshot.enterprise}/{self.names.snapshot.site}",
            tried=tuple(tried),
            findings=(*self.findings, *findings),
            broken=self.broken,
            coverage=self.coverage,
            live=live,
        )


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
    prepared, sources = prepare(site, only=only, env=env, variables=variables, coverage_min=coverage_min)
    if isinstance(prepared, Report):
        return prepared, sources
    tried = [_tried(prepared.names, prepared.judge, case) for case in prepared.chosen]
    return prepared.report(tried), sources


def prepare(
    site: Path | str | None,
    *,
    only: Sequence[str] = (),
    env: str | None = None,
    variables: Mapping[str, str] | None = None,
    coverage_min: float | None = None,
) -> tuple[Prepared | Report, tuple[SourceFile, ...]]:
    """Read and choose the tests of a site; a report alone when the site has errors. Arguments as of `run_tests`."""
    reading = read(site, env=env, variables=variables)
    located = locate(site).value
    if located is None or reading.model is None or has_errors(reading.findings):
        return Report(findings=reading.findings), reading.files
    names = names_of(reading.model)
    folder = located.parent / FOLDER
    files = [read_tests(path, names) for path in _files(folder)]
    _refuse_namesakes(files)
    every = [case for one in files for case in one.cases]
    broken = [name for one in files for name in _broken(one)]
    chosen = [case for case in every if _chosen(case.id, only)]
    wanted_broken = [name for name in broken if _chosen(name, only)]
    findings = [found for one in files for found in _findings(one, only)]
    if not files:
        findings.append(_no_files(folder))
    elif only and not chosen and not wanted_broken:
        known = [*(case.id for case in every), *broken]
        hint = did_you_mean(only[0], known) or "write a glob over `file/test`"
        findings.append(finding("NX1107", f"no test matches '{only[0]}'", hint=hint))
    book = Book(names.snapshot, ANY_TIME)
    shares = coverage(names, book, every)
    findings += _too_little(shares, coverage_min)
    prepared = Prepared(
        names=names,
        judge=Judge(names, book, [one.code for one in reading.findings]),
        chosen=tuple(chosen),
        findings=tuple(findings),
        broken=tuple(wanted_broken),
        coverage=shares,
    )
    return prepared, (*reading.files, *(one.source for one in files))


def _files(folder: Path) -> list[Path]:
    """The test files, by name. Hidden ones are an editor's: its locks and its copies."""
    found = (*folder.glob("*.yaml"), *folder.glob("*.yml"))
    return sorted(path for path in found if not path.name.startswith("."))


def _refuse_namesakes(files: Sequence[TestFile]) -> None:
    """Two tests of one name have one place in a report: `1` and `"1"`, or those of `x.yaml` and `x.yml`. The first runs."""
    seen: dict[str, Case] = {}
    for file in files:
        for case in tuple(file.cases):
            first = seen.setdefault(case.id, case)
            if first is case:
                continue
            file.cases.remove(case)
            where = f"{first.file}:{first.place.line}" if first.place is not None else first.file
            file.add("NX1100", f"there is a test '{case.id}' already, at {where}", place=case.place, hint="rename one")
            file.of_test.setdefault(case.name, []).append(file.findings[-1])


def names_of(model: Model) -> SiteNames:
    """What the tests of a site without errors may name."""
    return SiteNames(snapshot_of(model), tuple((one.from_, one.to) for one in model.site.moved))


def _chosen(name: str, only: Sequence[str]) -> bool:
    return not only or any(fnmatchcase(name, one) or fnmatchcase(name.partition("/")[2], one) for one in only)


def _broken(file: TestFile) -> list[str]:
    """Tests of a file that have findings, as `file/test`."""
    ready = {case.name for case in file.cases}
    return [f"{file.source.path.stem}/{name}" for name in file.named if name not in ready]


def _findings(file: TestFile, only: Sequence[str]) -> list[Diagnostic]:
    """Findings of the chosen tests, and of a file that has one, or whose tests can't be known."""
    if not only:
        return file.findings
    stem = file.source.path.stem
    left_out = [found for name, each in file.of_test.items() if not _chosen(f"{stem}/{name}", only) for found in each]
    if file.named:
        asked = any(_chosen(f"{stem}/{name}", only) for name in file.named)
    else:
        asked = any("/" not in one or fnmatchcase(stem, one.partition("/")[0]) for one in only)
    return [found for found in file.findings if asked and not any(found is one for one in left_out)]


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
    try:
        return Tried(case=case, results=tuple(judge.judged(case, offline_record(names, case))))
    except (DriverError, ValueError) as error:
        return Tried(case=case, error=str(error))
    except Exception as error:  # noqa: BLE001 - the boundary of one test: the others still run, and the report has the error
        return Tried(case=case, error=f"the test broke off: {type(error).__name__}: {error}")


def offline_record(names: SiteNames, case: Case) -> Record:
    """What the chain makes of a test's values, in memory. Raises DriverError, ValueError: a device can't be run."""
    paths = [one.path for one in case.given]
    for one in case.expected:
        if one.kind in ("sample", "row"):
            paths.append(one.subject)
        elif one.kind == "topic":
            paths.append(one.subject.removeprefix(names.prefix))
    alarms = any(one.kind == "alarm" for one in case.expected)
    return Plant(names, paths).run(case.given, case.end_ms) if paths or alarms else Record()
