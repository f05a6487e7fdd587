"""Tools about what runs and what was done: devices, alarms, the audit trail."""

from __future__ import annotations

import re
import time
from typing import Annotated, Any, Literal

from mcp_types import CallToolResult
from pydantic import BaseModel, Field

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.json_value import JsonObject
from nexus_cli.project.mcp.answers import Answer, capped, reply, short, shown
from nexus_cli.project.mcp.asking import Asking, Calling, clean
from nexus_cli.project.mcp.newest import Value as NewestValue
from nexus_cli.project.mcp.newest import line_of, newest
from nexus_cli.project.mcp.tools import tool
from nexus_cli.project.mcp.words import reason_words, time_text
from nexus_cli.wire.control_audit import AuditKind
from nexus_cli.wire.web_client import in_path

MOST_DEVICES, MOST_LINES, MOST_ALARMS = 100, 200, 200
DEVICE_LEVELS = 3
Text = Annotated[str, Field(max_length=500)]
_SPAN = re.compile(r"(\d{1,6})\s*(s|min|m|h|d|w)\Z")
_SECONDS = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


class Device(BaseModel):
    """One device, as its gateway says."""

    path: str
    protocol: str
    gateway: str
    state: str = Field(description="answers, silent, link, gateway, unread, disabled or external.")
    detail: str = Field(default="", description="Why it does not answer.")
    since: str = ""
    link_state: str = ""
    link_detail: str = ""
    reason: str = ""
    reason_text: str = ""
    tags: int = Field(description="That the caller may read.")
    good: int
    polls: int | None = None
    missed: int | None = None
    errors: int | None = None
    errors_by_kind: dict[str, int] = {}
    last_answer: str = ""
    read_ms: float | None = None
    description: str = ""


class Devices(Answer):
    """Devices in path order; `states` is how many there are of each."""

    devices: list[Device]
    total: int
    states: dict[str, int]


class Alarm(BaseModel):
    """The state of one alert."""

    name: str
    state: str = Field(description="active, acknowledged, returned (over, and not acknowledged) or cleared.")
    severity: str
    since: str
    tag: str
    description: str
    value: Any = Field(default=None, description="The tag's value that brought it there.")
    acknowledged_by: str = ""
    now: NewestValue | None = Field(default=None, description="The tag's newest value, of one that is not cleared.")


class Alarms(Answer):
    """Alerts: critical ones first, active ones first among equals."""

    alarms: list[Alarm]
    total: int


class AuditLine(BaseModel):
    """One line of the audit trail."""

    time: str
    kind: str
    what: str
    who: str
    subject: str
    facts: dict[str, Any] = Field(description="What else is known: state, value, old, unit, reason, code, …")


class Audit(Answer):
    """Lines of the audit trail, oldest first."""

    lines: list[AuditLine]


class PlantTools:
    """Devices, alarms and the audit trail, from web."""

    def __init__(self, asking: Asking) -> None:
        """For one server."""
        self._asking = asking

    @tool(
        "Devices and links",
        "Devices with link state, last answer, polls, missed polls, errors by kind and latency; one device, or "
        "those below a place, or of one state.",
    )
    async def devices(
        self,
        ctx: Calling,
        path: Annotated[str, Field(max_length=500, description="`area`, `area/line`, or one device.")] = "",
        state: Literal["", "answers", "silent", "link", "gateway", "unread", "disabled", "external"] = "",
        limit: Annotated[int, Field(ge=1, le=MOST_DEVICES)] = 50,
        offset: Annotated[int, Field(ge=0, le=1_000_000)] = 0,
    ) -> Annotated[CallToolResult, Devices]:
        web = self._asking.caller(ctx).web
        where = clean(path) if path.strip() else ""
        if where.count("/") == DEVICE_LEVELS - 1:
            one = await web.get(f"/devices{in_path(where)}")
            found: JsonObject = {"devices": [one], "total": 1, "states": {one["state"]: 1}}
        else:
            found = await web.get("/devices", path=where or None, state=state or None, limit=limit, offset=offset)
        rows = [_device(each) for each in found["devices"]]
        narrower = "give a longer path, a state, or the next `offset`"
        kept, cut = capped(rows, total=max(0, found["total"] - offset), narrower=narrower, what="devices")
        states = ", ".join(f"{count:,} {name}" for name, count in sorted(found["states"].items()))
        lines = [f"{found['total']:,} devices: {states}", *map(_device_line, kept)]
        return reply(Devices(devices=kept, total=found["total"], states=found["states"], cut=cut), lines)

    @tool(
        "Alarms",
        "Alerts that are active, acknowledged or returned (or all), with the tag's newest value.",
    )
    async def alarms(
        self,
        ctx: Calling,
        state: Annotated[
            Literal["open", "active", "acknowledged", "returned", "cleared", "all"],
            Field(description="`open` is active, acknowledged and returned."),
        ] = "open",
        limit: Annotated[int, Field(ge=1, le=MOST_ALARMS)] = 50,
    ) -> Annotated[CallToolResult, Alarms]:
        web = self._asking.caller(ctx).web
        open_states = ("active", "acknowledged", "returned")
        wanted = {"open": open_states, "all": (*open_states, "cleared")}.get(state, (state,))
        found = [each for each in (await web.get("/alerts"))["alerts"] if each["state"] in wanted]
        found.sort(key=lambda each: (-_SEVERITIES.get(each["severity"], 0), each["state"] != "active", each["name"]))
        shown_ = [_alarm(each) for each in found[:limit]]
        open_ = [each for each in shown_ if each.state != "cleared" and each.tag][:_MOST_READ]
        for each, value in zip(open_, await newest(web, [each.tag for each in open_]), strict=True):
            each.now = value
        kept, cut = capped(shown_, total=len(found), narrower="ask for one state", what="alarms")
        lines = map(_alarm_line, kept) if kept else [f"No alarm is {state}, of those that you may see."]
        return reply(Alarms(alarms=kept, total=len(found), cut=cut), lines)

    @tool(
        "Audit trail",
        "Who did what and how it ended: commands, sequences, deployments, alerts, messages, access. Needs the "
        "right to read the audit trail.",
    )
    async def audit(
        self,
        ctx: Calling,
        path: Annotated[Text, Field(description="Of a tag or device.")] = "",
        who: Annotated[Text, Field(description="Principal.")] = "",
        kind: AuditKind = "",
        since: Annotated[
            str, Field(max_length=20, description="How long ago: 30m, 8h, 7d; empty: without limit.")
        ] = "",
        limit: Annotated[int, Field(ge=1, le=MOST_LINES)] = 50,
    ) -> Annotated[CallToolResult, Audit]:
        found = await self._asking.caller(ctx).web.get(
            "/audit", path=path.strip("/"), who=who, kind=kind, since=_since_us(since), limit=limit
        )
        rows = [_audit(each) for each in reversed(found["entries"])]
        narrower = "give a path, a principal, a kind, or a shorter time"
        kept, cut = capped(rows, total=len(rows), narrower=narrower, what="lines")
        if not cut and found["truncated"]:
            cut = f"older lines, beyond the limit of {limit}; {narrower}"
        kept.reverse()
        lines = map(_audit_line, kept) if kept else ["Nothing of this is in the audit trail."]
        return reply(Audit(lines=kept, cut=cut), lines)


_SEVERITIES = {"critical": 3, "warning": 2, "info": 1}
_MOST_READ = 50
_HEAD = ("at", "kind", "what", "who", "subject")


def _since_us(text: str) -> int:
    """µs since 1970 of a time ago; 0 for "". Raises NexusError NX6942."""
    if not text.strip():
        return 0
    found = _SPAN.match(text.strip())
    if found is None:
        raise NexusError(f"'{text}' is no time ago.", code="NX6942", hint="write 30m, 8h or 7d")
    return max(0, int((time.time() - int(found[1]) * _SECONDS[found[2]]) * 1e6))


def _device(each: JsonObject) -> Device:
    facts = {name: each[name] for name in Device.model_fields if name in each}
    reason = each.get("reason", "")
    facts |= {
        "good": each["counts"]["GOOD"],
        "since": time_text(each["since"]),
        "last_answer": time_text(each.get("last_answer")),
        "reason_text": reason_words(reason) if reason else "",
    }
    for name in ("detail", "link_detail", "description"):
        facts[name] = short(each[name], most=300)
    return Device(**facts)


def _device_line(each: Device) -> str:
    facts = [each.detail or each.reason_text, f"link {each.link_state}" if each.link_state else ""]
    facts += [f"{each.good} of {each.tags} tags GOOD", f"last answer {each.last_answer}" if each.last_answer else ""]
    return f"{each.path} ({each.protocol}) {each.state}: " + ", ".join(filter(None, facts))


def _alarm(each: JsonObject) -> Alarm:
    return Alarm(
        name=each["name"],
        state=each["state"],
        severity=each["severity"],
        since=time_text(each["since"]),
        tag=each["tag"],
        description=short(each["description"], most=300),
        value=shown(each["value"]),
        acknowledged_by=each.get("acknowledged_by") or "",
    )


def _alarm_line(each: Alarm) -> str:
    who = f" by {each.acknowledged_by}" if each.acknowledged_by else ""
    now = f"; now {line_of(each.now)}" if each.now is not None else f" ({each.tag})"
    return f"{each.severity} {each.name}: {each.state}{who} since {each.since or '?'}, {each.description}{now}"


def _audit(each: JsonObject) -> AuditLine:
    facts = {name: shown(value) for name, value in each.items() if name not in _HEAD and value is not None}
    return AuditLine(
        time=time_text(each["at"]),
        kind=each["kind"],
        what=each["what"],
        who=each["who"],
        subject=short(each["subject"], most=500),
        facts=facts,
    )


def _audit_line(each: AuditLine) -> str:
    facts = ", ".join(f"{name} {value}" for name, value in each.facts.items() if name != "id")
    return f"{each.time} {each.who}: {each.kind} {each.what} {each.subject}" + (f" ({facts})" if facts else "")
