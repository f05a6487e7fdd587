"""Tools about the site's files: validate, plan, drift. They read; nothing is applied."""

from __future__ import annotations

import asyncio
from typing import Annotated

from mcp_types import CallToolResult
from pydantic import BaseModel, Field

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.json_value import JsonObject
from nexus_cli.project.mcp.answers import TEXT_CHARACTERS, Answer, capped, reply, short
from nexus_cli.project.mcp.asking import Asking, Caller, Calling
from nexus_cli.project.mcp.drifted import Looked, newest_look
from nexus_cli.project.mcp.tools import tool
from nexus_cli.project.mcp.turns import Turns, refuse_stranger
from nexus_cli.project.plan import plan_site
from nexus_cli.project.ready import Ready
from nexus_cli.project.text import Sourced, facts, read
from nexus_cli.wire.web_client import WebClient

MOST_FINDINGS, MOST_CHANGES, MOST_ROWS = 100, 200, 100
DRIFT_CHARACTERS = 30_000
LONGEST_PLAN = CHANGES_CHARACTERS = 16_000


class Finding(BaseModel):
    """One finding of `nexus validate`."""

    code: str
    severity: str
    message: str
    hint: str = ""
    place: str = Field(default="", description="file:line:column.")
    address: str = Field(default="", description="Where in the model.")


class Validation(Answer):
    """What is wrong with the site's files."""

    site: str
    valid: bool
    errors: int
    warnings: int
    devices: int = 0
    tags: int = 0
    findings: list[Finding]


class Change(BaseModel):
    """One resource that apply would change."""

    address: str
    action: str
    keys: list[str] = Field(description="Attributes that differ.")


class Planned(Answer):
    """What `nexus apply` would change."""

    site: str
    deployment: int = Field(description="The recorded one that it was compared with; 0: none.")
    empty: bool = Field(description="True: the files and the record are the same.")
    applyable: bool = Field(description="False: a finding, or a hazard that a person has to allow, is in the way.")
    counts: dict[str, int]
    changes: list[Change]
    hazards: list[str]
    errors: int = Field(description="Findings that forbid it; `validate` has them.")
    text: str = Field(description="The plan as the command line shows it.")


class NotRunning(BaseModel):
    """A process that does not run, a device whose gateway does not run it, or one that runs something else than is recorded."""

    kind: str = Field(description="`role` or `device`.")
    name: str
    state: str = Field(description="Of a role: how it is; of a device: `gateway`, `another` document or `absent`.")
    detail: str = ""


class Drift(Answer):
    """Where files, record and plant differ."""

    site: str
    deployment: int
    files: str = Field(description="same, differ, or unknown with the reason.")
    counts: dict[str, int] = Field(description="Of the plan, where the files differ.")
    not_running: list[NotRunning] = Field(description="Recorded, and not running as recorded.")
    topics_without_owner: int = Field(description="Retained topics that nothing recorded owns.")
    problems: list[str]
    looked: Looked = Field(description="Gateways and devices against the record, as control looked last.")


class FileTools:
    """Validate, plan and drift."""

    def __init__(self, asking: Asking, turns: Turns) -> None:
        """For one server."""
        self._asking, self._turns = asking, turns

    @tool(
        "Validate the site's files",
        "Every error and warning in the site's files, with place, excerpt and hint. Reads the files that the "
        "server was started for.",
    )
    async def validate(self, ctx: Calling) -> Annotated[CallToolResult, Validation]:
        await refuse_stranger(self._asking.caller(ctx, for_files=True))
        async with self._turns.one():
            found = await asyncio.to_thread(_validated, self._asking)
        rows = [_finding(each) for each in found["diagnostics"]]
        narrower = "mend these, and validate again"
        kept, cut = capped(rows[:MOST_FINDINGS], total=len(rows), narrower=narrower, what="findings")
        site = found.get("site") or {}
        answer = Validation(
            site=site.get("name", ""),
            valid=found["valid"],
            errors=found["error_count"],
            warnings=found["warning_count"],
            devices=site.get("devices", 0),
            tags=site.get("tags", 0),
            findings=kept,
            cut=cut,
        )
        return reply(answer, self._asking.views.findings_text(found).splitlines())

    @tool(
        "Plan",
        "What `nexus apply` would change, with counts, impact and hazards, as the command line shows it. Nothing "
        "is applied: a person does that.",
    )
    async def plan(self, ctx: Calling) -> Annotated[CallToolResult, Planned]:
        caller = self._asking.caller(ctx)
        await refuse_stranger(caller)
        async with self._turns.one():
            ready, errors, why = await asyncio.to_thread(_planned, self._asking, caller)
        if ready is None:
            raise NexusError(f"The site's files have {errors} errors.", code=why, hint="`validate` lists them")
        return _plan_reply(self._asking, ready, errors)

    @tool(
        "Drift",
        "Where the site's files, the recorded state and what runs differ: planned changes, roles and devices "
        "that do not run as recorded, retained topics that nothing owns, and what control found on devices at its "
        "last look.",
    )
    async def drift(self, ctx: Calling) -> Annotated[CallToolResult, Drift]:
        caller = self._asking.caller(ctx)
        await refuse_stranger(caller)
        health = await caller.web.get("/health")
        rows, total = await _not_running(caller.web, health)
        retained = await caller.web.get("/retained", limit=1)
        looked = await newest_look(caller.web)
        files, counts = await _files(self._asking, caller, self._turns)
        kept, cut = capped(
            rows[:MOST_ROWS],
            total=total,
            narrower="`devices` with state `gateway` pages through them",
            room=DRIFT_CHARACTERS,
        )
        answer = Drift(
            site=health["site"],
            deployment=health["deployment"],
            files=files,
            counts=counts,
            not_running=kept,
            topics_without_owner=retained["total"],
            problems=[short(each, most=300) for each in health["problems"][:20]],
            looked=looked,
            cut=cut,
        )
        lines = [
            f"{answer.site}, deployment {answer.deployment}. Files against the record: {files}.",
            f"{total:,} roles and devices do not run as recorded; {answer.topics_without_owner} retained topics have no owner.",
            *(f"{each.kind} {each.name}: {each.state}, {each.detail}" for each in kept),
            *answer.problems,
            *looked.lines(),
        ]
        return reply(answer, lines)


def _validated(asking: Asking) -> JsonObject:
    reading = read(asking.site_path, env=asking.env, variables=asking.variables, use_cache=True)
    return asking.views.findings(reading.findings, reading.files, site=facts(reading))


def _planned(asking: Asking, caller: Caller) -> tuple[Ready | None, int, str]:
    """The plan; None with the number of errors and the first one's code when the files have some."""
    found: Sourced[Ready] = plan_site(
        asking.site_path, settings=caller.settings, env=asking.env, variables=asking.variables, use_cache=True
    )
    wrong = [each for each in found.findings if str(each.severity) == "error"]
    return found.value, len(wrong), wrong[0].code if wrong else ""


def _plan_reply(asking: Asking, ready: Ready, errors: int) -> CallToolResult:
    document = ready.document
    text = asking.views.plan_text(document)
    changes = [
        Change(address=each["address"], action="/".join(each["change"]["actions"]), keys=each["change"]["keys"][:20])
        for each in document["resource_changes"]
    ]
    # The text has the same changes: together they stay below the cap of an answer.
    kept, cut = capped(
        changes[:MOST_CHANGES], total=len(changes), narrower=_WHOLE, what="changes", room=CHANGES_CHARACTERS
    )
    if len(text) > LONGEST_PLAN:
        cut = "; ".join(filter(None, (cut, f"the text is cut at {LONGEST_PLAN:,} characters, {_WHOLE}")))
    answer = Planned(
        site=document["site"],
        deployment=document["base"]["deployment"],
        empty=ready.empty,
        applyable=document["applyable"],
        counts=document["summary"],
        changes=kept,
        hazards=[short(f"{each['name']}: {each['message']}", most=200) for each in document["hazards"][:20]],
        errors=errors,
        text=short(text, most=LONGEST_PLAN),
        cut=cut,
    )
    return reply(answer, short(text, most=TEXT_CHARACTERS - 1_000).splitlines())


_WHOLE = "`nexus plan` shows all"


def _finding(each: JsonObject) -> Finding:
    at = each.get("range")
    place = f"{at['filename']}:{at['start']['line']}:{at['start']['column']}" if at else ""
    return Finding(
        code=each["code"],
        severity=each["severity"],
        message=short(each["summary"], most=300),
        hint=short(each["detail"], most=300),
        place=place,
        address=short(each["address"], most=300),
    )


async def _not_running(web: WebClient, health: JsonObject) -> tuple[list[NotRunning], int]:
    """What does not run as recorded: the first rows, roles first, and how many there are."""
    roles = [
        NotRunning(
            kind="role", name=f"{each['role']} {each['name']}", state=each["state"], detail=short(each["detail"])
        )
        for each in health["roles"]
        if each["state"] != "running" or each["detail"]
    ]
    rows, total = roles, len(roles)
    for document, state in (("another", None), ("absent", None), ("unknown", "gateway")):
        found = await web.get("/devices", document=document, state=state, limit=MOST_ROWS)
        rows += [
            NotRunning(
                kind="device",
                name=each["path"],
                state=state or document,
                detail=_WHY.get(document) or short(each["detail"], most=300),
            )
            for each in found["devices"]
        ]
        total += found["total"]
    return rows, total


_WHY = {"another": "it runs another document than is recorded", "absent": "its gateway runs, but not this device"}


async def _files(asking: Asking, caller: Caller, turns: Turns) -> tuple[str, dict[str, int]]:
    """Whether the files are as recorded; where that can't be seen, why not."""
    try:
        async with turns.one():
            ready, errors, code = await asyncio.to_thread(_planned, asking, caller)
    except NexusError as error:
        return f"unknown: {error.code}, {error.message}", {}
    if ready is None:
        return f"unknown: {errors} errors in the files, the first is {code}", {}
    return ("same", {}) if ready.empty else ("differ", ready.document["summary"])
