"""Tools that say where a value comes from, and why there is none."""

from __future__ import annotations

from typing import Annotated, Any

from mcp_types import CallToolResult
from pydantic import BaseModel, Field

from nexus_cli.project.mcp.answers import Answer, capped, reply, short
from nexus_cli.project.mcp.asking import Asking, Calling, clean
from nexus_cli.project.mcp.newest import Value, line_of, newest
from nexus_cli.project.mcp.stored import TagPath
from nexus_cli.project.mcp.tools import tool
from nexus_cli.project.mcp.words import reason_words, time_text
from nexus_cli.wire.web_client import in_path


class Step(BaseModel):
    """One step between the device and the row."""

    step: str
    text: str


class Explained(Answer):
    """The way of a tag from the device to the row, its newest value, and what depends on it."""

    path: str
    kind: str = Field(description="device, calculated or external.")
    value: Value
    steps: list[Step]
    inputs: dict[str, str] = Field(description="Of a calculated tag: path by the name in its expression.")
    used_by: list[str] = Field(description="Calculated tags that it is an input of.")
    alerts: list[str]


class Part(BaseModel):
    """One part between the device and the row."""

    part: str
    name: str = ""
    state: str = Field(description="ok, bad, or unknown where nothing was said.")
    text: str
    since: str = ""


class Why(Answer):
    """Why a tag has no value, or one that is not GOOD."""

    path: str
    quality: str
    reason: str
    reason_text: str
    verdict: str = Field(description="The first cause, in one sentence.")
    checks: list[Part]
    stored: str = Field(
        description="When its newest stored sample was; empty: there is none, or the database can't be asked."
    )


class ReasonTools:
    """How a tag comes to be, and why it has no value."""

    def __init__(self, asking: Asking) -> None:
        """For one server."""
        self._asking = asking

    @tool(
        "Explain a tag",
        "How a tag comes to be, step by step: address, bytes, type, scale, unit, topic, row; its newest value, "
        "inputs, and the calculated tags and alerts that use it.",
    )
    async def explain(self, ctx: Calling, path: TagPath) -> Annotated[CallToolResult, Explained]:
        web, where = self._asking.caller(ctx).web, clean(path)
        found = await web.get(f"/lineage{in_path(where)}")
        (value,) = await newest(web, [where])
        steps = [Step(step=each["step"], text=short(each["text"])) for each in found["steps"]]
        kept, cut = capped(
            steps, total=len(steps), narrower="`nexus explain PATH` shows all", what="steps", room=20_000
        )
        answer = Explained(
            path=found["path"],
            kind=found["kind"],
            value=value,
            steps=kept,
            inputs=dict(list(found["inputs"].items())[:50]),
            used_by=found["used_by"][:50],
            alerts=found["alerts"][:50],
            cut=cut or _many(found),
        )
        lines = [line_of(value), *(f"{each.step}: {each.text}" for each in kept)]
        lines += [f"{name}: {', '.join(found[name][:50])}" for name in ("used_by", "alerts") if found[name]]
        return reply(answer, lines)

    @tool(
        "Why there is no data",
        "Why a tag has no value, or one that is not GOOD: every part between the device and the row (link, "
        "device, gateway, broker, disk log, historian, database), and the first cause.",
    )
    async def why_no_data(self, ctx: Calling, path: TagPath) -> Annotated[CallToolResult, Why]:
        found = await self._asking.caller(ctx).web.get(f"/why{in_path(clean(path))}")
        parts = [
            Part(
                part=each["part"],
                name=each["name"],
                state=each["state"],
                text=short(each["text"]),
                since=time_text(each["since"]),
            )
            for each in found["checks"]
        ]
        kept, cut = capped(parts, total=len(parts), narrower="`gaps` lists gaps of a span", what="parts")
        reason = found["reason"]
        answer = Why(
            path=found["path"],
            quality=found["quality"],
            reason=reason,
            reason_text=reason_words(reason) if reason else "",
            verdict=short(found["verdict"]),
            checks=kept,
            stored=time_text(found.get("stored")),
            cut=cut,
        )
        lines = [f"{answer.path} is {answer.quality}: {answer.verdict}"]
        lines += [f"{each.part} {each.name}: {each.state}, {each.text}".replace(" :", ":") for each in kept]
        return reply(answer, lines)


def _many(found: dict[str, Any]) -> str:
    most = max(len(found[name]) for name in ("inputs", "used_by", "alerts"))
    return "only 50 inputs, users and alerts are listed; `nexus explain PATH` shows all" if most > 50 else ""
