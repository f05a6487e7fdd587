"""What a notification says, as text and as JSON. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

REPEATED = "REPEATED: this may have been sent before."
MOST_NAMED = 20
"""Alarms that a digest names in its text; its JSON has them all."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RANK = {"critical": 0, "high": 1, "medium": 2, "low": 3}
_FACTS = (
    "name",
    "state",
    "priority",
    "group",
    "tag",
    "value",
    "since",
    "occurrence",
    "description",
    "response",
    "consequence",
    "first_out",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One message.

    Attributes:
        key: The same for each try: by which a receiver recognises a repetition.
        subject, body: For people.
        document: For programs.
    """

    key: str
    subject: str
    body: str
    document: dict[str, Any] = field(default_factory=dict)


def one_alarm(site: str, alert: Mapping[str, Any], *, step: str, zone: ZoneInfo, repeated: bool, key: str) -> Text:
    """A message about one alarm.

    Args:
        site: `enterprise/site`.
        alert: As in `wire.alert.Alert`.
        step: `active`, `returned`, or `escalate-MS`.
        zone: In which times are written.
        repeated: Whether it may have been sent before.
        key: Of the message.
    """
    what = {"active": "active", "returned": "over"}.get(step) or _unanswered(step)
    head = f"{str(alert.get('priority') or '').upper()} {alert.get('name')}: {what}"
    lines = [REPEATED] if repeated else []
    lines += [head, *filter(None, [str(alert.get("description") or "")]), ""]
    moment = int(alert.get("since") or 0) if step == "returned" else int(alert.get("occurrence") or 0)
    told = {
        "Since": _wall(moment, zone),
        "Value": alert.get("value"),
        "Tag": alert.get("tag"),
        "Group": alert.get("group"),
        "What to do": alert.get("response"),
        "Otherwise": alert.get("consequence"),
        "Acknowledge": f"nexus alarms ack {alert.get('name')}" if step != "returned" else "",
    }
    lines += [f"{label}: {value}" for label, value in told.items() if value not in (None, "")]
    document = {key: alert[key] for key in _FACTS if key in alert}
    document |= {"site": site, "step": step, "repeated": repeated, "kind": "alarm"}
    return Text(key=key, subject=f"[{site}] {head}", body="\n".join(lines), document=document)


def _unanswered(step: str) -> str:
    after_s = int(step.removeprefix("escalate-") or 0) / 1000
    return (
        f"no one acknowledged within {after_s / 60:g} min"
        if after_s >= 60
        else f"no one acknowledged within {after_s:g} s"
    )


def digest(site: str, about: Sequence[Mapping[str, Any]], *, zone: ZoneInfo, repeated: bool, key: str) -> Text:
    """One message about many alarms: how many of which priority, the first of them, and the most urgent by name."""
    counts = Counter(str(each.get("priority") or "") for each in about)
    steps = Counter(_kind(str(each.get("step") or "active")) for each in about)
    first = min(about, key=lambda each: int(each.get("occurrence") or 0))
    said = ", ".join(f"{count} {name}" for name, count in sorted(counts.items(), key=lambda one: _RANK.get(one[0], 9)))
    head = f"{len(about)} messages of alarms in a flood: {said}"
    lines = [REPEATED] if repeated else []
    lines += [head, ", ".join(f"{count} {name}" for name, count in sorted(steps.items()))]
    lines += [f"First: {first.get('name')} at {_wall(int(first.get('occurrence') or 0), zone)}", ""]
    urgent = sorted(about, key=lambda each: (_RANK.get(str(each.get("priority")), 9), int(each.get("occurrence") or 0)))
    lines += [
        f"{str(each.get('priority') or '').upper()} {each.get('name')} ({_kind(str(each.get('step') or 'active'))}) "
        f"{_wall(int(each.get('occurrence') or 0), zone)}"
        for each in urgent[:MOST_NAMED]
    ]
    if len(about) > MOST_NAMED:
        lines.append(f"and {len(about) - MOST_NAMED} more")
    document = {"site": site, "kind": "digest", "repeated": repeated, "count": len(about), "first": first.get("name")}
    return Text(
        key=key, subject=f"[{site}] {head}", body="\n".join(lines), document=document | {"alarms": [*map(dict, about)]}
    )


def brief(alert: Mapping[str, Any], step: str) -> dict[str, Any]:
    """What a digest keeps of one message."""
    return {key: alert[key] for key in _FACTS if key in alert} | {"step": step}


def _kind(step: str) -> str:
    return "unanswered" if step.startswith("escalate") else "over" if step == "returned" else step


def _wall(time_us: int, zone: ZoneInfo) -> str:
    return (_EPOCH + timedelta(microseconds=time_us)).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %Z")
