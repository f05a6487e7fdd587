"""What a run of a sequence would do: each step with what is known now. Nothing is sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import orjson
from mcp_types import CallToolResult
from pydantic import BaseModel, Field

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.project.mcp.answers import Answer, capped, reply, short, shown
from nexus_cli.project.mcp.asking import Asking, Calling
from nexus_cli.project.mcp.tools import tool
from nexus_cli.project.rehearsal import Line, rehearsed
from nexus_cli.project.web_values import readable_values
from nexus_cli.project.write import site_topics
from nexus_cli.runtime.clock import SystemClock
from nexus_cli.runtime.control.sequences.live_values import LiveValues
from nexus_cli.wire.control_sequences import SequenceBrief
from nexus_cli.wire.web_client import in_path

MOST_STEPS = 200
MOST_PARAMETERS = 50


class Step(BaseModel):
    """One step as it would be done."""

    step: int = Field(description="Its number, as in the journal of a run.")
    branch: str = Field(description="requires, steps or on_abort.")
    text: str
    now: str = Field(description="What the tag holds, or whether the condition holds; empty: that says nothing yet.")
    problem: str = Field(description="Why a run would stop there; empty: no reason is known.")
    hint: str = ""


class Rehearsed(Answer):
    """A dry run: nothing was sent."""

    sequence: str
    ready: bool = Field(description="False: a precondition does not hold, or a step is known to fail.")
    values: dict[str, Any] = Field(description="Of its parameters.")
    steps: list[Step]


class RehearsalTools:
    """Dry runs of sequences, from control's record and web's values."""

    def __init__(self, asking: Asking) -> None:
        """For one server."""
        self._asking = asking

    @tool(
        "Rehearse a sequence",
        "What a run of an applied sequence would do: preconditions with their present result, each write with what the tag "
        "holds now, each message with its payload, and what is known to fail. Nothing is sent; no tool here runs a sequence. "
        "A tag that the caller may not read counts as one without a value.",
    )
    async def rehearse(
        self,
        ctx: Calling,
        sequence: Annotated[str, Field(min_length=1, max_length=200, description="Name of the sequence.")],
        values: Annotated[
            dict[str, str | float | bool], Field(max_length=MOST_PARAMETERS, description="Of its parameters, by name.")
        ] = {},  # noqa: B006 - the package copies defaults
    ) -> Annotated[CallToolResult, Rehearsed]:
        caller = self._asking.caller(ctx)
        answered = await caller.web.get(f"/sequences{in_path(sequence)}")
        try:
            brief = msgspec.convert(answered, SequenceBrief)
        except msgspec.ValidationError as error:
            raise NexusError("Control answers with no sequence.", code="NX6941", cause=str(error)) from None

        async def read(paths: Sequence[str]) -> LiveValues:
            topics = site_topics(caller.settings)
            live = LiveValues(topics, clock=SystemClock())
            live.gateways = brief.gateways
            live.want(paths)
            for path, said in (await readable_values(caller.web, paths)).items():
                if not said.get("received"):
                    continue  # nothing was published yet
                body: dict[str, Any] = {
                    name: said[name] for name in ("value", "quality", "reason", "unit") if name in said
                }
                if said.get("time") is not None:
                    body["timestamp"] = said["time"] // 1000
                live.receive(topics.tag(path), orjson.dumps(body))
            return live

        texts = {
            name: value if isinstance(value, str) else orjson.dumps(value).decode() for name, value in values.items()
        }
        found = await rehearsed(sequence, brief, texts, read=read)
        steps = [_step(line) for line in found.lines]
        kept, cut = capped(
            steps[:MOST_STEPS], total=len(steps), narrower="`nexus sequence run NAME --dry-run` shows all", what="steps"
        )
        answer = Rehearsed(
            sequence=sequence,
            ready=found.ready,
            values={name: shown(value) for name, value in found.values.items()},
            steps=kept,
            cut=cut,
        )
        said = "it could run now" if found.ready else "it can't run now"
        return reply(answer, [f"Dry run of {sequence}, nothing was sent: {said}.", *map(_line, kept)])


def _step(line: Line) -> Step:
    return Step(
        step=line.number,
        branch=line.branch,
        text=short(line.text, most=300),
        now=short(line.now, most=300),
        problem=short(line.problem, most=300),
        hint=short(line.hint, most=300),
    )


def _line(each: Step) -> str:
    facts = [each.now, f"PROBLEM: {each.problem}" if each.problem else "", each.hint]
    said = "; ".join(filter(None, facts))
    return f"{each.step} {each.branch}: {each.text}" + (f" ({said})" if said else "")
