"""A record against what was expected: one result per assertion, with how the value came about."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nexus_cli.access.questions import Book, ask
from nexus_cli.access.subjects import Unknown, subject_of
from nexus_cli.json_value import JsonObject
from nexus_cli.model.chain import same
from nexus_cli.project.testing.declared import Case, Expectation, Given
from nexus_cli.project.testing.names import SiteNames
from nexus_cli.project.testing.plant import Record, Row, Seen

EXACT = 2**53
"""Whole numbers up to here are the same in JSON; the live view writes larger ones as text."""

BEFORE_MS = -1
"""When a sample came that was there before the begin of a test: only a real runtime has some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One assertion, judged.

    Attributes:
        expectation: What was expected.
        passed: It is so.
        expected, got: In words.
        how: How the value came about, from what was given; () where it passed.
    """

    expectation: Expectation
    passed: bool
    expected: str
    got: str
    how: tuple[str, ...] = ()


class Judge:
    """Compares with one record."""

    def __init__(self, names: SiteNames, book: Book, codes: Sequence[str]) -> None:
        """Args: the site's names and rights, and the codes that validation found."""
        self._names, self._book, self._codes = names, book, codes
        self._holders = {one.name: one for one in book.holders}

    def judged(self, case: Case, record: Record) -> list[Result]:
        """One result per expectation, same order."""
        return [self.one(case, one, record) for one in case.expected]

    def one(self, case: Case, wanted: Expectation, record: Record) -> Result:
        """Judge one assertion by what is recorded so far."""
        at_ms = case.end_ms if wanted.at_ms is None else wanted.at_ms
        if wanted.kind in ("sample", "topic"):
            return self._sample(case, wanted, record, at_ms)
        if wanted.kind == "alarm":
            return self._alarm(case, wanted, record, at_ms)
        if wanted.kind == "row":
            return self._rows(case, wanted, record)
        if wanted.kind == "right":
            return self._right(wanted)
        return self._finding(wanted)

    def _sample(self, case: Case, wanted: Expectation, record: Record, at_ms: int) -> Result:
        path = wanted.subject if wanted.kind == "sample" else wanted.subject.removeprefix(self._names.prefix)
        first = 0 if wanted.absent else BEFORE_MS
        known = [one for one in record.samples.get(path, ()) if first <= one.at_ms <= at_ms]
        tag = self._names.tags[path]
        if wanted.kind == "topic" and not tag.live_publish:
            known = []
        if wanted.absent or not known:
            got = _shown(known[-1], wanted) if known else f"no {_thing(wanted)} by {_time(at_ms)}"
            passed = wanted.absent and not known
            return self._result(
                wanted, passed, f"no {_thing(wanted)}" if wanted.absent else _parts(wanted), got, case, path
            )
        seen = known[-1]
        found: Mapping[str, Any] = seen.payload if wanted.kind == "topic" else _facts(seen)
        within = wanted.wanted.get("within", 0)
        passed = all(
            agree(value, found.get(key, "" if key in ("unit", "label", "reason") else None), within=within)
            for key, value in wanted.wanted.items()
            if key != "within"
        )
        return self._result(wanted, passed, _parts(wanted), _shown(seen, wanted), case, path)

    def _result(self, wanted: Expectation, passed: bool, expected: str, got: str, case: Case, path: str) -> Result:
        how = () if passed else tuple(self._how(case, path))
        return Result(expectation=wanted, passed=passed, expected=expected, got=got, how=how)

    def _how(self, case: Case, path: str, depth: int = 0) -> list[str]:
        """The way of a value: what was given, and every step that changes it."""
        tag = self._names.tags[path]
        if tag.expr:
            lines = [f"{path} = {tag.expr}"]
            for one in tag.inputs.values():
                if depth < 3:
                    lines += [f"  {line}" for line in self._how(case, one, depth + 1)]
            return lines
        given: list[Given] = [one for one in case.given if one.path == path]
        if not given:
            return [f"{path}: nothing is given for it"]
        lines = [f"{path} at {_time(one.at_ms)}: {one.text}{_read(one)}" for one in given]
        steps = []
        if tag.scale != 1 or tag.offset:
            steps.append(f"x {tag.scale:g} + {tag.offset:g}")
        if tag.unit != tag.publish_unit and tag.publish_unit:
            steps.append(f"{tag.unit} to {tag.publish_unit}")
        if tag.range is not None:
            steps.append(f"range {_end(tag.range[0])} to {_end(tag.range[1])}")
        if tag.deadband:
            steps.append(f"deadband {tag.deadband:g}")
        if not tag.enabled or not self._names.device_of(path).enabled:
            steps.append("out of service")
        steps.append(f"{tag.mode} {_time(tag.poll_ms)}")
        return [*lines, "then " + ", ".join(steps)]

    def _alarm(self, case: Case, wanted: Expectation, record: Record, at_ms: int) -> Result:
        states = [state for moment, state in record.alarms.get(wanted.subject, ()) if moment <= at_ms]
        state = states[-1] if states else "cleared"
        passed = state == wanted.wanted["state"]
        how: list[str] = []
        if not passed:
            config = self._names.alarms[wanted.subject]
            for moment, each in record.alarms.get(wanted.subject, ()):
                how.append(f"{each} at {_time(moment)}")
            if config.for_ms:
                how.append(f"it must last {_time(config.for_ms)} before it becomes active")
            for path in config.paths():
                if path in self._names.tags:
                    how += self._how(case, path)
        return Result(
            expectation=wanted,
            passed=passed,
            expected=f"{wanted.wanted['state']} at {_time(at_ms)}",
            got=state,
            how=tuple(how),
        )

    def _rows(self, case: Case, wanted: Expectation, record: Record) -> Result:
        rows, found = wanted.wanted["rows"], record.rows.get(wanted.subject, [])
        passed = len(rows) == len(found) and all(map(_row_agrees, rows, found))
        words = ", ".join(_row_words(one) for one in rows) or "no row"
        got = ", ".join(f"{_value(one.value)} {one.quality} at {_time(one.at_ms)}" for one in found) or "no row"
        return self._result(wanted, passed, words, got, case, wanted.subject)

    def _right(self, wanted: Expectation) -> Result:
        user, action, allowed = (wanted.wanted[key] for key in ("user", "action", "allowed"))
        expected = f"{user} may {'' if allowed else 'not '}{action} {wanted.subject}"
        holder = self._holders.get(user)
        if holder is None:
            return Result(expectation=wanted, passed=False, expected=expected, got=f"the site has no user '{user}'")
        subject = subject_of(self._names.snapshot, action, wanted.subject)
        if isinstance(subject, Unknown):
            return Result(expectation=wanted, passed=False, expected=expected, got=subject.message)
        answers = ask(self._book, holder, action, subject)
        yes = bool(answers) and all(one.allowed for one in answers)
        deciding = next((one for one in answers if one.allowed == yes), None)
        got = f"{user} may {'' if yes else 'not '}{action} it"
        why = deciding.why if deciding is not None else ""
        how = () if yes == allowed or not why else (why,)
        return Result(expectation=wanted, passed=yes == allowed, expected=expected, got=got, how=how)

    def _finding(self, wanted: Expectation) -> Result:
        found = ", ".join(dict.fromkeys(self._codes)) or "no finding"
        passed = not self._codes if wanted.absent else wanted.subject in self._codes
        expected = "no finding" if wanted.absent else wanted.subject
        return Result(expectation=wanted, passed=passed, expected=expected, got=found)


def agree(wanted: Any, found: Any, *, within: float = 0) -> bool:
    """Whether a value is the expected one: true is not 1, whole numbers are compared exactly, floats but for the roundings of a double."""
    if isinstance(wanted, bool) or isinstance(found, bool):
        return wanted is found
    if isinstance(wanted, (int, float)) and isinstance(found, (int, float)):
        if math.isnan(wanted) or math.isnan(found):
            return False
        return same(wanted, found) or abs(wanted - found) <= within
    if isinstance(wanted, int) and isinstance(found, str) and abs(wanted) > EXACT:
        return found == str(wanted)
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        return wanted.keys() == found.keys() and all(
            agree(one, found[key], within=within) for key, one in wanted.items()
        )
    if isinstance(wanted, (list, tuple)) and isinstance(found, (list, tuple)):
        pairs = zip(wanted, found, strict=False)
        return len(wanted) == len(found) and all(agree(one, other, within=within) for one, other in pairs)
    return bool(wanted == found)


def _facts(seen: Seen) -> JsonObject:
    facts = {
        "value": seen.value,
        "quality": seen.quality,
        "reason": seen.reason,
        "unit": seen.unit,
        "label": seen.label,
    }
    return dict(facts)


def _row_agrees(wanted: Mapping[str, Any], row: Row) -> bool:
    within = wanted.get("within", 0)
    return (
        ("value" not in wanted or agree(wanted["value"], row.value, within=within))
        and ("quality" not in wanted or wanted["quality"] == row.quality)
        and ("at_ms" not in wanted or wanted["at_ms"] == row.at_ms)
    )


def _row_words(wanted: Mapping[str, Any]) -> str:
    words = [_value(wanted["value"])] if "value" in wanted else []
    words += [wanted["quality"]] if "quality" in wanted else []
    words += [f"at {_time(wanted['at_ms'])}"] if "at_ms" in wanted else []
    return " ".join(words)


def _thing(wanted: Expectation) -> str:
    return "sample" if wanted.kind == "sample" else "message"


def _parts(wanted: Expectation) -> str:
    return ", ".join(f"{key} {_value(value)}" for key, value in wanted.wanted.items())


def _shown(seen: Seen, wanted: Expectation) -> str:
    found = seen.payload if wanted.kind == "topic" else _facts(seen)
    keys = [key for key in wanted.wanted if key != "within"] or ["value"]
    keys += [key for key in ("quality", "reason") if key not in keys and found.get(key) not in (None, "", "GOOD")]
    return ", ".join(f"{key} {_value(found.get(key))}" for key in keys)


def _read(given: Given) -> str:
    if given.fault is not None and not given.fault.uncertain:
        return ""
    return f", read as {_value(given.raw)}"


def _value(value: Any) -> str:
    if value is None:
        return "null"
    return repr(value) if not isinstance(value, bool) else str(value).lower()


def _end(value: float | None) -> str:
    return "open" if value is None else f"{value:g}"


def _time(ms: float) -> str:
    return f"{ms / 1000:g}s"
