"""What a device did, as the text of a test file. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nexus_cli.model.config import TagConfig
from nexus_cli.model.datatype import INTEGER_BOUNDS, parse_type
from nexus_cli.project.testing.names import SiteNames
from nexus_cli.project.testing.plant import Record, Seen
from nexus_cli.project.testing.raw import UnfitValue, held
from nexus_cli.wire.sample import Reason, Value

HEAD = """\
# Written by `nexus test --record {device}`: what the device published is `given`, its results are `expect`.
# Change it as you like; it is never overwritten.

tests:
"""
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
_NOT_PLAIN = frozenset({"true", "false", "null", "yes", "no", "on", "off", "nan", "inf"})

Form = dict[str, Any]


@dataclass(slots=True)
class Draft:
    """One recorded test before it is text.

    Attributes:
        name: Of the test.
        device: That was recorded.
        for_ms: How long, ms.
        given: Forms by tag path, each with `at_ms`.
        samples: Expected facts by tag path.
        alarms: Expected state by name.
        left_out: Tags and assertions that the file does not have, with the reason.
    """

    name: str
    device: str
    for_ms: int
    given: dict[str, list[Form]] = field(default_factory=dict)
    samples: dict[str, Form] = field(default_factory=dict)
    alarms: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    @property
    def values(self) -> int:
        """How many values are given."""
        return sum(len(forms) for forms in self.given.values())

    @property
    def assertions(self) -> int:
        """How many assertions it has."""
        return len(self.samples) + len(self.alarms)

    def leave_out(self, kind: str, subject: str, why: str) -> None:
        """Take an assertion out again."""
        (self.samples if kind == "sample" else self.alarms).pop(subject, None)
        self.left_out.append(f"{kind} {subject}: {why}")


def drafted(names: SiteNames, device: str, record: Record, *, name: str, for_ms: int) -> Draft:
    """The test of what was recorded from one device.

    Args:
        names: Of the site.
        device: Its path.
        record: Samples of its tags and states of alarms, with the moment (ms since the begin) at which each came.
        name: Of the test.
        for_ms: How long was recorded, ms.
    """
    draft = Draft(name, device, for_ms)
    config = names.devices[device]
    for tag, facts in config.tags.items():
        path = f"{device}/{tag}"
        seen = record.samples.get(path, [])
        if not seen or facts.expr:
            continue
        try:
            draft.given[path] = _forms(names, path, seen)
            draft.samples[path] = _facts(facts, seen[-1])
        except UnfitValue as error:
            draft.left_out.append(f"{path}: {error}")
    for tag, facts in config.tags.items():
        path = f"{device}/{tag}"
        inputs = set(facts.inputs.values())
        if facts.expr and record.samples.get(path) and _whole(names, inputs, draft.given):
            draft.samples[path] = _facts(facts, record.samples[path][-1])
    for alarm, alert in names.alarms.items():
        paths = set(alert.paths())
        if paths and _whole(names, paths, draft.given):
            states = record.alarms.get(alarm, [])
            draft.alarms[alarm] = states[-1][1] if states else "cleared"
    return draft


def _whole(names: SiteNames, paths: set[str], given: Mapping[str, Any], depth: int = 8) -> bool:
    """Whether all of these tags come from what is given, through calculated tags too."""
    return all(
        path in given
        or (
            depth > 0
            and path in names.tags
            and bool(names.tags[path].expr)
            and bool(names.tags[path].inputs)
            and _whole(names, set(names.tags[path].inputs.values()), given, depth - 1)
        )
        for path in paths
    )


def _forms(names: SiteNames, path: str, seen: Sequence[Seen]) -> list[Form]:
    """What was published, as `given`, in rising order. Raises UnfitValue: the tag's chain can't be inverted for it."""
    device, _, name = path.rpartition("/")
    tag, forms, last_ms = names.tags[path], [], -1
    for one in seen:
        at_ms = max(0, round(one.at_ms), last_ms + 1)
        last_ms = at_ms
        form = _form(tag, one)
        held(names.devices[device], name, form)
        forms.append({"at_ms": at_ms, **form})
    return forms


def _form(tag: TagConfig, seen: Seen) -> Form:
    if seen.quality == "BAD":
        return {"bad": seen.reason or Reason.LINK_LOST.value}
    form: Form = {"value": exact(tag, seen.value)}
    if seen.quality == "UNCERTAIN" and seen.reason != Reason.OUT_OF_RANGE.value:  # that one comes of the range
        form["uncertain"] = seen.reason
    return form


def _facts(tag: TagConfig, seen: Seen) -> Form:
    facts: Form = {"value": exact(tag, seen.value), "quality": seen.quality}
    if seen.reason:
        facts["reason"] = seen.reason
    if seen.unit:
        facts["unit"] = seen.unit
    return facts


def exact(tag: TagConfig, value: Value) -> Value:
    """A published value as the chain has it: the live view writes whole numbers beyond 2**53 as text."""
    kind = parse_type(tag.type)
    whole = kind.base in INTEGER_BOUNDS
    if whole and isinstance(value, str) and re.fullmatch(r"-?\d+", value):
        return int(value)
    if whole and isinstance(value, list):
        return [int(one) if isinstance(one, str) and re.fullmatch(r"-?\d+", one) else one for one in value]
    return value


def text_of(draft: Draft) -> str:
    """The test file."""
    lines = [HEAD.format(device=draft.device) + f"  {scalar(draft.name)}:"]
    lines += [f"    # left out: {_one_line(one)}" for one in draft.left_out]
    lines.append("    given:")
    for path, forms in draft.given.items():
        shown = [
            _flow({"at": _time(form["at_ms"]), **{k: v for k, v in form.items() if k != "at_ms"}}) for form in forms
        ]
        if len(shown) == 1 and forms[0]["at_ms"] == 0:
            lines.append(f"      {scalar(path)}: {_flow({k: v for k, v in forms[0].items() if k != 'at_ms'})}")
            continue
        lines.append(f"      {scalar(path)}:")
        lines += [f"        - {one}" for one in shown]
    lines += [f"    for: {_time(draft.for_ms)}", "    expect:"]
    if draft.samples:
        lines.append("      sample:")
        lines += [f"        {scalar(path)}: {_flow(facts)}" for path, facts in draft.samples.items()]
    if draft.alarms:
        lines.append("      alarm:")
        lines += [f"        {scalar(name)}: {state}" for name, state in draft.alarms.items()]
    return "\n".join(lines) + "\n"


def scalar(value: Any) -> str:
    """A value as one line of YAML: plain where it can't be taken for something else, else as JSON writes it."""
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _NOT_PLAIN:
        return value
    if isinstance(value, float) and not isinstance(value, bool):
        return repr(value)
    # JSON is YAML, but for characters beyond 16 bits: JSON escapes them in halves, which YAML refuses.
    text = json.dumps(value, ensure_ascii=False)
    return "".join(one if one.isascii() and one.isprintable() else f"\\U{ord(one):08x}" for one in text)


def _flow(facts: Mapping[str, Any]) -> str:
    words = (f"{key}: {value if key == 'at' else scalar(value)}" for key, value in facts.items())
    return "{" + ", ".join(words) + "}"


def _time(ms: int) -> str:
    return f"{ms // 1000}s" if ms % 1000 == 0 else f"{ms}ms"


def _one_line(words: str) -> str:
    return " ".join("".join(sign if sign.isprintable() else " " for sign in words).split())
