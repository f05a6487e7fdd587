"""The `expect:` of a test → assertions, each with its place."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from nexus_cli.access.lines import RIGHTS
from nexus_cli.diagnostics import Place
from nexus_cli.diagnostics.codes import catalogue
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.project.testing.declared import KINDS, STATES, Expectation
from nexus_cli.project.testing.file_text import TestFile, Wrong
from nexus_cli.source.nodes import Map, Seq
from nexus_cli.wire.sample import Quality, Reason

SAMPLE_KEYS = ("value", "quality", "reason", "unit", "label", "within", "at")
TOPIC_KEYS = ("value", "quality", "reason", "unit", "label", "timestamp", "source_timestamp", "within", "at")
ROW_KEYS = ("value", "quality", "at", "within")
NONE = "none"
"""There must be no sample, or no message."""
CLOSED: dict[str, tuple[str, ...]] = {
    "quality": tuple(one.name for one in Quality),
    "reason": ("", *(one.value for one in Reason)),
    "state": STATES,
}


def expectations(file: TestFile, expect: Map) -> Iterator[Expectation]:
    """The assertions of a test in the order of the file; what is wrong is noted, and the rest is given."""
    file.only(expect, KINDS, "`expect`")
    for kind in expect:
        if kind not in _READERS:
            continue
        found: list[Expectation] = []
        before = len(file.findings)
        try:
            for one in _entries(file, expect, kind):
                try:
                    found.append(_READERS[kind](file, *one))
                except Wrong:
                    continue
        except Wrong:
            pass
        yield from found
        if not found and len(file.findings) == before and not (kind == "finding" and expect[kind] == []):
            file.add(
                "NX1103", f"`{kind}:` expects nothing", place=file.place(expect, kind), hint="remove it, or fill it in"
            )
    if "finding" in expect and expect["finding"] == []:
        yield Expectation(kind="finding", subject="", absent=True, place=file.place(expect, "finding"))


def _entries(file: TestFile, expect: Map, kind: str) -> Iterator[tuple[Any, Any]]:
    value = expect[kind]
    if kind in ("right", "finding"):
        if not isinstance(value, Seq):
            raise file.wrong(
                "NX1100", f"`{kind}` is a list", place=file.place(expect, kind), hint="write `- …` below it"
            )
        yield from ((value, index) for index in range(len(value)))
        return
    for key in file.map_of(expect, kind, "a map"):
        yield value, key


def _sample(file: TestFile, holder: Any, key: Any) -> Expectation:
    path = file.path_of(holder, key)
    return _wanted(file, holder, key, kind="sample", subject=path, allowed=SAMPLE_KEYS)


def _topic(file: TestFile, holder: Any, key: Any) -> Expectation:
    topic = str(key)
    if topic.startswith(file.names.prefix):
        path = file.path_of(holder, key)
        return _wanted(file, holder, key, kind="topic", subject=file.names.topics.tag(path), allowed=TOPIC_KEYS)
    place = file.place(holder, key, on_key=True)
    hint = f"the topic of a tag is {file.names.prefix} and its path"
    raise file.wrong("NX1101", f"no tag is published on '{topic}'", place=place, hint=hint)


def _wanted(file: TestFile, holder: Any, key: Any, *, kind: str, subject: str, allowed: tuple[str, ...]) -> Expectation:
    value, place = holder[key], file.place(holder, key) or file.place(holder, key, on_key=True)
    if value == NONE and isinstance(value, str):
        return Expectation(kind=kind, subject=subject, absent=True, place=place)
    if not isinstance(value, Map):
        _finite(file, value, place)
        return Expectation(kind=kind, subject=subject, wanted={"value": value}, place=place)
    if not file.only(value, allowed, f"an expected {kind}"):
        raise file.wrong("NX1100", f"'{key}' can't be compared", place=place, hint="see the finding before")
    at_ms = file.time_of(value, "at") if "at" in value else None
    wanted = {one: value[one] for one in value if one != "at"}
    _closed(file, value)
    if not set(wanted) - {"within"}:
        raise file.wrong("NX1103", f"'{key}' expects nothing", place=place, hint="write `value:` or `quality:`")
    return Expectation(kind=kind, subject=subject, wanted=wanted, at_ms=at_ms, place=place)


def _finite(file: TestFile, value: object, place: Place | None) -> None:
    """No sample is infinite or no number: that is BAD, and has no value."""
    if isinstance(value, float) and not math.isfinite(value):
        hint = f"{{quality: BAD, reason: {Reason.NOT_A_NUMBER.value}}}"
        raise file.wrong("NX1106", f"a value is never '{value}'", place=place, hint=hint)


def _closed(file: TestFile, value: Map) -> None:
    """Words of a closed list, the value, and the tolerance."""
    _finite(file, value.get("value"), file.place(value, "value"))
    for key, words in CLOSED.items():
        if key in value and value[key] not in words:
            message = f"`{key}` is never '{value[key]}'"
            raise file.wrong("NX1106", message, place=file.place(value, key), hint=did_you_mean(value[key], words))
    within = value.get("within", 0)
    if isinstance(within, bool) or not isinstance(within, (int, float)) or not 0 <= within < float("inf"):
        place = file.place(value, "within")
        raise file.wrong(
            "NX1100", f"'{within}' is no tolerance", place=place, hint="a number from 0, in the published unit"
        )


def _alarm(file: TestFile, holder: Any, key: Any) -> Expectation:
    place = file.place(holder, key, on_key=True)
    if key not in file.names.alarms:
        hint = did_you_mean(key, file.names.alarms)
        raise file.wrong("NX1106", f"the site has no alert '{key}'", place=place, hint=hint)
    value = holder[key]
    state, at_ms = value, None
    if isinstance(value, Map):
        if not file.only(value, ("state", "at"), "an expected alarm") or "state" not in value:
            raise file.wrong("NX1100", f"'{key}' has no state", place=place, hint="{state: active, at: 5s}")
        state = value["state"]
        at_ms = file.time_of(value, "at") if "at" in value else None
    if state not in STATES:
        where = file.place(holder, key)
        raise file.wrong("NX1106", f"an alert is never '{state}'", place=where, hint=did_you_mean(state, STATES))
    return Expectation(kind="alarm", subject=str(key), wanted={"state": state}, at_ms=at_ms, place=place)


def _right(file: TestFile, holder: Any, index: Any) -> Expectation:
    value, place = holder[index], file.place(holder, index)
    keys = ("user", "may", "may_not", "path")
    if not isinstance(value, Map):
        raise file.wrong(
            "NX1100", "a right is a map", place=place, hint="{user: ada, may: write, path: area/line/device/tag}"
        )
    if not file.only(value, keys, "an expected right"):
        raise file.wrong("NX1100", "the right can't be asked", place=place, hint="see the finding before")
    asked = [key for key in ("may", "may_not") if key in value]
    if len(asked) != 1 or "user" not in value or "path" not in value:
        hint = "{user: ada, may: write, path: area/line/device/tag}, or may_not"
        raise file.wrong("NX1100", "a right has user, path, and one of may and may_not", place=place, hint=hint)
    action = value[asked[0]]
    if action not in RIGHTS:
        where = file.place(value, asked[0])
        raise file.wrong("NX1106", f"'{action}' is no right", place=where, hint=did_you_mean(action, RIGHTS))
    subject = str(value["path"])
    if action in ("read", "write") and not any(sign in subject for sign in "*+#"):
        subject = file.path_of(value, "path", on_key=False)
    wanted = {"user": str(value["user"]), "action": action, "allowed": asked[0] == "may"}
    return Expectation(kind="right", subject=subject, wanted=wanted, place=place)


def _row(file: TestFile, holder: Any, key: Any) -> Expectation:
    path = file.path_of(holder, key)
    value, place = holder[key], file.place(holder, key, on_key=True)
    if not isinstance(value, Seq):
        raise file.wrong(
            "NX1100", f"the rows of '{path}' are a list", place=place, hint="[21.5, {value: 22, at: 3s}], or []"
        )
    rows = []
    for index, one in enumerate(value):
        if not isinstance(one, Map):
            _finite(file, one, file.place(value, index))
            rows.append({"value": one})
            continue
        if not file.only(one, ROW_KEYS, "an expected row"):
            raise file.wrong(
                "NX1100", f"a row of '{path}' can't be compared", place=place, hint="see the finding before"
            )
        _closed(file, one)
        row = {name: one[name] for name in one if name != "at"}
        if "at" in one:
            row["at_ms"] = file.time_of(one, "at")
        if not row or set(row) == {"within"}:
            where = file.place(value, index)
            raise file.wrong("NX1103", f"a row of '{path}' expects nothing", place=where, hint="write `value:`")
        rows.append(row)
    return Expectation(kind="row", subject=path, wanted={"rows": rows}, place=place)


def _finding(file: TestFile, holder: Any, index: Any) -> Expectation:
    code, place = holder[index], file.place(holder, index)
    if code not in catalogue():
        hint = "`nexus explain CODE` shows what a code means"
        raise file.wrong("NX1106", f"there is no code '{code}'", place=place, hint=hint)
    return Expectation(kind="finding", subject=code, place=place)


_READERS: dict[str, Callable[[TestFile, Any, Any], Expectation]] = {
    "sample": _sample,
    "topic": _topic,
    "alarm": _alarm,
    "right": _right,
    "row": _row,
    "finding": _finding,
}
