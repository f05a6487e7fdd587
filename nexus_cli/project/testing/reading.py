"""Test files → cases. What is wrong is a finding with its place; the other tests of the file, and other files, still run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nexus_cli.diagnostics import Diagnostic, Place
from nexus_cli.diagnostics.diagnostic import Severity
from nexus_cli.project.testing.declared import KINDS, Case, Expectation, Given
from nexus_cli.project.testing.expecting import expectations
from nexus_cli.project.testing.file_text import TestFile, Wrong, kind_of
from nexus_cli.project.testing.names import SiteNames
from nexus_cli.project.testing.raw import FORMS, UnfitValue, held
from nexus_cli.source.encoding import decode
from nexus_cli.source.files import read_data, shown
from nexus_cli.source.nodes import Map, Seq, SourceFile
from nexus_cli.source.reader import Reader

CASE_KEYS = ("description", "given", "expect", "for")
GIVEN_KEYS = (*FORMS, "uncertain", "code", "at")


def read_tests(path: Path, names: SiteNames, *, data: bytes | None = None) -> TestFile:
    """Read one file; with `data`, what is about to be written there."""
    name = shown(path)
    if data is None:
        data, code, wrong = read_data(path)
        if data is None:
            unread = TestFile(SourceFile(number=0, name=name, path=path, text=""), names, [])
            unread.add(code, wrong, place=None, hint="make it readable, or move it away")
            return unread
    text, findings = decode(data, name)
    source = SourceFile(number=0, name=name, path=path, text=text or "")
    file = TestFile(source, names, list(findings))
    if text is None:
        return file
    reader = Reader(source)
    root = reader.read()
    file.findings.extend(reader.findings)
    if root is None and not file.findings:
        file.add("NX1103", f"'{name}' has no tests", place=source.place(0), hint="write `tests:` with a test below it")
    if root is None:
        return file
    if not isinstance(root, Map):
        file.add("NX1100", f"the top of '{name}' is {kind_of(root)}", place=source.place(0), hint="start with `tests:`")
        return file
    file.only(root, ("tests",), "a test file")
    try:
        _tests(file, root)
    except Wrong:
        pass
    return file


def _tests(file: TestFile, root: Map) -> None:
    if "tests" not in root or root["tests"] is None or root["tests"] == {}:
        place = file.place(root, "tests") or file.source.place(0)
        raise file.wrong(
            "NX1103",
            f"'{file.source.name}' has no tests",
            place=place,
            hint="write `tests: {a name: {given: …, expect: …}}`",
        )
    tests = file.map_of(root, "tests", "a map of tests by name")
    misread = _misread(file, tests)
    for name in tests:
        file.named.append(str(name))
        before = len(file.findings)
        try:
            case = _case(file, tests, name)
            if len(file.findings) == before and name not in misread:
                file.cases.append(case)
        except Wrong:
            pass
        file.of_test[str(name)] = [*misread.get(name, ()), *file.findings[before:]]


def _misread(file: TestFile, tests: Map) -> dict[Any, list[Diagnostic]]:
    """The errors of the text itself by test, such as a key that is there twice: it is not known which of both was meant.

    One that is beside the tests, not in one, is of all of them.
    """
    keys = {name: place for name in tests if (place := file.place(tests, name, on_key=True)) is not None}
    found: dict[Any, list[Diagnostic]] = {}
    for one in file.findings:
        if one.severity is not Severity.ERROR or one.place is None:
            continue
        first = {each.place.line for each in one.related if each.place is not None}
        of = [name for name, place in keys.items() if place.line in first and place.column == one.place.column]
        if not of:
            above = [name for name, place in keys.items() if _within(place, one.place)]
            of = above[-1:] or list(keys)
        for name in of:
            found.setdefault(name, []).append(one)
    return found


def _within(key: Place, place: Place) -> bool:
    """Whether a place is behind a test's key and deeper than it, or on its line."""
    return (key.line == place.line and key.column <= place.column) or (
        key.line < place.line and key.column < place.column
    )


def _case(file: TestFile, tests: Map, name: Any) -> Case:
    body = file.map_of(tests, name, "a test with `given` and `expect`")
    file.only(body, CASE_KEYS, f"the test '{name}'")
    given: list[Given] = []
    if body.get("given"):
        for path in file.map_of(body, "given", "a map of values by path"):
            try:
                held_now = list(_given(file, body["given"], path))
            except Wrong:
                continue
            if any(one.path == held_now[0].path for one in given):
                place = file.place(body["given"], path, on_key=True)
                file.add("NX1100", f"'{held_now[0].path}' is given twice", place=place, hint="remove one of them")
            given += held_now
    expected: list[Expectation] = []
    if body.get("expect"):
        what = file.map_of(body, "expect", f"a map of {', '.join(KINDS)}")
        expected = list(expectations(file, what))
    if body.get("expect") in (None, {}):
        place = file.place(tests, name, on_key=True)
        raise file.wrong("NX1103", f"the test '{name}' expects nothing", place=place, hint="write `expect:`")
    runs = file.time_of(body, "for") if "for" in body else 0
    ends = [runs, *(one.at_ms for one in given), *(one.at_ms for one in expected if one.at_ms is not None)]
    return Case(
        name=str(name),
        file=file.source.name,
        place=file.place(tests, name, on_key=True),
        given=tuple(given),
        expected=tuple(expected),
        end_ms=max(ends),
        description=str(body.get("description") or ""),
    )


def _given(file: TestFile, holder: Map, key: Any) -> Iterator[Given]:
    path = file.path_of(holder, key)
    tag = file.names.tags[path]
    place = file.place(holder, key, on_key=True)
    if tag.expr or file.names.device_of(path).protocol == "external":
        source = "is calculated" if tag.expr else "is published by others"
        hint = (
            f"give its inputs: {', '.join(tag.inputs.values())}" if tag.inputs else "give the tags that it comes from"
        )
        raise file.wrong("NX1104", f"no device holds '{path}': it {source}", place=place, hint=hint)
    value = holder[key]
    if isinstance(value, Seq) and value and all(isinstance(one, Map) for one in value):
        before = -1
        for index, form in enumerate(value):
            one = _held(file, value, index, path, form)
            if one.at_ms <= before:
                when = "twice" if one.at_ms == before else "after a later moment"
                message = f"'{path}' is given at {form.get('at', '0s')} {when}"
                raise file.wrong("NX1105", message, place=one.place, hint="write `at:` in rising order")
            before = one.at_ms
            yield one
        return
    yield _held(file, holder, key, path, value)


def _held(file: TestFile, holder: Any, key: Any, path: str, value: Any) -> Given:
    place = file.place(holder, key) or file.place(holder, key, on_key=True)
    form: Mapping[str, Any] = value if isinstance(value, Map) else {"raw": value}
    if isinstance(value, Map):
        if not file.only(value, GIVEN_KEYS, f"a value of '{path}'"):
            raise Wrong(path)
        chosen = [one for one in FORMS if one in value]
        if len(chosen) != 1:
            message = (
                f"'{path}' is given {len(chosen) or 'no'} values at once" if chosen else f"'{path}' is given no value"
            )
            raise file.wrong("NX1100", message, place=place, hint="one of " + ", ".join(f"`{one}:`" for one in FORMS))
        code = value.get("code", 0)
        if isinstance(code, bool) or not isinstance(code, int):
            raise file.wrong("NX1100", f"'{code}' is not a protocol's code", place=place, hint="write a whole number")
    elif value is None:
        hint = "write the value that the device holds, or `{bad: device_timeout}`"
        raise file.wrong("NX1104", f"'{path}' is given no value", place=place, hint=hint)
    device = file.names.device_of(path)
    try:
        raw, fault = held(device, path.rpartition("/")[2], form)
    except UnfitValue as error:
        raise file.wrong("NX1104", f"'{path}': {error}", place=place, hint=error.hint) from None
    at_ms = file.time_of(form, "at") if "at" in form else 0
    return Given(path=path, at_ms=at_ms, raw=raw, fault=fault, text=_text(form), place=place)


def _text(form: Mapping[str, Any]) -> str:
    words = []
    for key in (*FORMS, "uncertain"):
        if key not in form:
            continue
        value = form[key]
        if key == "registers":
            value = " ".join(f"0x{word:04x}" for word in value)
        words.append(f"{key} {value}")
    return ", ".join(words)
