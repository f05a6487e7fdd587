"""Codes of test files (NX1100 to NX1129)."""

from __future__ import annotations

from nexus_cli.diagnostics.codes.code import Code, console, text, yaml
from nexus_cli.diagnostics.diagnostic import Severity

_GOOD = yaml(
    "tests:\n  a warm filler:\n    given: {hall/line-1/oven/temperature: 215}\n    expect: {sample: {hall/line-1/oven/temperature: 21.5}}"
)

CODES: tuple[Code, ...] = (
    Code(
        id="NX1100",
        slug="test-shape",
        summary="A part of a test file has a key or a value that tests don't know.",
        why="A misspelt assertion would never be checked, and the test would pass whatever the plant does.",
        bad=yaml("tests:\n  a warm filler:\n    expects: {sample: {hall/line-1/oven/temperature: 21.5}}"),
        good=_GOOD,
    ),
    Code(
        id="NX1101",
        slug="test-path",
        summary="A test names a tag or a topic that the site does not have.",
        why="The test proves nothing about the plant. The other tests still run.",
        bad=yaml("given: {hall/line-1/oven/temprature: 215}"),
        good=yaml("given: {hall/line-1/oven/temperature: 215}"),
    ),
    Code(
        id="NX1102",
        slug="test-renamed",
        summary="A test names a tag by the path that it had before a rename.",
        why="`moved:` keeps the history of the tag; the test has to follow by hand. The hint has the new path.",
        bad=yaml("moved: [{from: hall/line-1/oven/temp, to: hall/line-1/oven/temperature}]"),
        good=yaml("given: {hall/line-1/oven/temperature: 215}"),
    ),
    Code(
        id="NX1103",
        slug="test-empty",
        summary="A test file, a test or a part of it expects nothing.",
        why="It would always pass, and count as coverage.",
        bad=yaml("tests: {}"),
        good=_GOOD,
    ),
    Code(
        id="NX1104",
        slug="test-value",
        summary="A given value is one that the device can't hold for this tag.",
        why="The test would check what never happens in the plant. A value without a word is the decoded one, before scale and unit; `value:` is in the published unit.",
        bad=yaml("given: {hall/line-1/oven/temperature: 21.5}    # the register counts tenths"),
        good=yaml("given: {hall/line-1/oven/temperature: {value: 21.5}}    # or 215"),
    ),
    Code(
        id="NX1105",
        slug="test-time",
        summary="A time in a test is not a duration, is too long, or does not rise.",
        why="Times count from the begin of the test; a sequence is given in the order in which it happens.",
        bad=yaml("given: {hall/line-1/oven/temperature: [{at: 5s, raw: 215}, {at: 2s, raw: 220}]}"),
        good=yaml("given: {hall/line-1/oven/temperature: [{at: 2s, raw: 220}, {at: 5s, raw: 215}]}"),
    ),
    Code(
        id="NX1106",
        slug="test-word",
        summary="A test names an alert, a right, a state, a quality or a code that does not exist.",
        why="What does not exist is never seen, so the assertion could only fail, or pass for the wrong reason.",
        bad=yaml("expect: {alarm: {oven-too-hot: activ}}"),
        good=yaml("expect: {alarm: {oven-too-hot: active}}"),
    ),
    Code(
        id="NX1107",
        slug="test-none",
        summary="There is no test to run.",
        why="A run without a test would pass, and prove nothing.",
        bad=console("nexus test --only 'lin-1*'"),
        good=console("nexus test --only 'line-1*'"),
    ),
    Code(
        id="NX1108",
        slug="test-coverage",
        summary="Tests touch fewer tags, alarms or rights than asked for.",
        why="`--coverage-min` keeps a new device from going to the plant without a test.",
        bad=console("nexus test --coverage-min 100%"),
        good=text("Write a test for what `nexus test --coverage` lists."),
    ),
    Code(
        id="NX1109",
        slug="test-not-live",
        summary="A test gives what simulators can't do, so `--live` leaves it out.",
        why="A fault of a device (`bad:`, `uncertain:`) comes from its wire or its status; a simulator holds values. Offline the test runs.",
        bad=console("nexus test --live --only 'line-1/a lost filler'"),
        good=console("nexus test --only 'line-1/a lost filler'"),
        severity=Severity.WARNING,
    ),
    Code(
        id="NX1110",
        slug="test-recorded",
        summary="The file that a recording would make exists already, or can't be written.",
        why="A test file may have been edited by a person: it is never overwritten.",
        bad=console("nexus test --record hall/line-1/oven --out tests/oven.yaml"),
        good=console("nexus test --record hall/line-1/oven --out tests/oven-2.yaml"),
    ),
    Code(
        id="NX1111",
        slug="test-record-device",
        summary="What is to be recorded is not a device of the site that a gateway reads.",
        why="A recording says what a device held; a calculated tag and a device of others hold nothing.",
        bad=console("nexus test --record hall/line-1/ovn"),
        good=console("nexus test --record hall/line-1/oven"),
    ),
)
