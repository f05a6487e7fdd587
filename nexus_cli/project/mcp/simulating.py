"""What the site's simulator of a device gives: served on a free port of this machine for some seconds, and read by our driver."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from mcp_types import CallToolResult
from pydantic import BaseModel, Field

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.drivers.base import DriverError, points_of
from nexus_cli.drivers.door import guarded
from nexus_cli.drivers.read_result import ReadResult
from nexus_cli.drivers.registry import plugin
from nexus_cli.drivers.simulation.mock_links import without_own
from nexus_cli.model.config import DeviceConfig
from nexus_cli.project.mcp.answers import READS, Answer, capped, reply, shown
from nexus_cli.project.mcp.asking import Asking, Calling, clean
from nexus_cli.project.mcp.newest import range_text
from nexus_cli.project.mcp.tools import tool
from nexus_cli.project.mcp.turns import Turns, refuse_stranger
from nexus_cli.project.mcp.words import reason_words
from nexus_cli.project.simulate import devices_of, serving
from nexus_cli.project.text import load, locate
from nexus_cli.runtime.gateway.devices.cycle import Cycle
from nexus_cli.runtime.gateway.devices.normaliser import Normaliser

LONGEST_S, STARTS_S = 30.0, 30.0
MOST_TAGS, MOST_READS = 100, 20
NOTHING = "NX6947"


class SimulatedValue(BaseModel):
    """One read of a tag: seconds after the first, and the value in the published unit."""

    after_s: float
    value: Any = None
    quality: str
    reason: str = ""


class SimulatedTag(BaseModel):
    """What a tag gave."""

    path: str
    unit: str
    range: list[float | None] | None = None
    reads: int
    least: float | None = Field(default=None, description="Of the numbers read.")
    greatest: float | None = None
    values: list[SimulatedValue]


class Simulated(Answer):
    """What the simulator of one device gave. None of it is from the plant."""

    device: str
    protocol: str
    seconds: float
    tags: list[SimulatedTag]


class SimulationTools:
    """The simulator of one device."""

    def __init__(self, asking: Asking, turns: Turns) -> None:
        """For one server."""
        self._asking, self._turns = asking, turns

    @tool(
        "Simulate a device",
        f"What the site's simulator of one device gives for some seconds (at most {LONGEST_S:g}), through the "
        "driver and the chain of the gateway: unit, range, quality. Runs on this machine alone and ends by itself; it "
        "reaches no device of the plant.",
        annotations=READS.model_copy(update={"idempotent_hint": False}),
    )
    async def simulate(
        self,
        ctx: Calling,
        device: Annotated[str, Field(min_length=1, max_length=500, description="`area/line/device`.")],
        seconds: Annotated[float, Field(gt=0, le=LONGEST_S)] = 5.0,
        tags: Annotated[
            list[Annotated[str, Field(max_length=200)]],
            Field(max_length=MOST_TAGS, description="Names of its tags; empty: the first ones."),
        ] = [],  # noqa: B006 - the package copies defaults
    ) -> Annotated[CallToolResult, Simulated]:
        await refuse_stranger(self._asking.caller(ctx, for_files=True))
        async with self._turns.one():
            config = await asyncio.to_thread(_device, self._asking, clean(device))
            names = _names(config, tags)
            try:
                async with asyncio.timeout(seconds + STARTS_S):
                    found = await _served(config, names[:MOST_TAGS], seconds, home=str(self._asking.settings.home))
            except TimeoutError:
                raise NexusError(f"The simulator of {config.path} did not end in time.", code=NOTHING) from None
        kept, cut = capped(found, total=len(names), narrower="name the tags in `tags`", what="tags")
        answer = Simulated(device=config.path, protocol=config.protocol, seconds=seconds, tags=kept, cut=cut)
        return reply(answer, [f"Simulated, not from the plant: {config.path} for {seconds:g} s", *map(_line, kept)])


def _device(asking: Asking, path: str) -> DeviceConfig:
    """The device as the files have it. Raises NexusError: the files have errors, or there is none that can be simulated."""
    loaded = load(asking.site_path, env=asking.env, variables=asking.variables, use_cache=True)
    if loaded.value is None:
        wrong = [each for each in loaded.findings if str(each.severity) == "error"]
        raise NexusError(
            f"The site's files have {len(wrong)} errors.", code=wrong[0].code, hint="`validate` lists them"
        )
    folder = locate(asking.site_path).unwrap().parent
    found = {each.path: each for each in devices_of(loaded.value.snapshot, folder=folder)}
    if path not in found:
        raise NexusError(f"There is no device '{path}' in the site's files.", code=NOTHING)
    return found[path]


def _names(config: DeviceConfig, tags: Sequence[str]) -> list[str]:
    """The tags to read, in declared order. Raises NexusError NX6947: one is not there, or none has an address."""
    known = [each.name for each in points_of(config)]
    for each in tags:
        if each not in known:
            hint = did_you_mean(each, known) or "calculated and disabled tags are not read"
            raise NexusError(f"{config.path} has no tag '{each[:100]}' with an address.", code=NOTHING, hint=hint)
    names = [each for each in known if not tags or each in tags]
    if not names:
        raise NexusError(f"No tag of {config.path} has an address.", code=NOTHING)
    return names


async def _served(config: DeviceConfig, names: Sequence[str], seconds: float, *, home: str) -> list[SimulatedTag]:
    """Serve the device, read it until the time is over, and stop. Raises NexusError NX6947 or NX6524."""
    (config,) = without_own([config])
    async with serving([config], free_ports=True) as simulation:
        if not simulation.links:
            why = next(iter(simulation.skipped), "nothing serves it")
            raise NexusError(f"{config.path} can't be simulated: {why}.", code=NOTHING)
        there = {**config.connection, **simulation.links[0].server.connection()}
        config = msgspec.structs.replace(config, connection=there)
        try:
            return await _read(config, names, seconds, home=home)
        except DriverError as error:
            raise NexusError(
                f"The simulator of {config.path} gave nothing.", code=NOTHING, cause=error.message
            ) from None


async def _read(config: DeviceConfig, names: Sequence[str], seconds: float, *, home: str) -> list[SimulatedTag]:
    driver = guarded(plugin(config.protocol).driver())
    requests = driver.group(config, points_of(config, list(names)))
    chain, seen = Normaliser(config), {name: list[SimulatedValue]() for name in names}
    session = await driver.connect([config], home=home)
    begun = time.monotonic()
    try:
        for turn in range(MOST_READS):
            after_s = time.monotonic() - begun
            if after_s > seconds:
                break
            for request in requests:
                found = await session.read(request)
                _note(chain, [each.name for each in request.points], found, round(after_s, 2), seen)
            pause_s = (turn + 1) * seconds / MOST_READS - (time.monotonic() - begun)
            await asyncio.sleep(max(0.0, pause_s))
    finally:
        await session.close()
    return [_tag(config, name, seen[name]) for name in names]


def _note(
    chain: Normaliser, names: list[str], found: ReadResult, after_s: float, seen: dict[str, list[SimulatedValue]]
) -> None:
    """What one request read, as a gateway would publish it."""
    chain.take(chain.of(names), found.values, Cycle(int(time.time() * 1e6)), faults=found.faults)
    for name in names:
        state = chain.states[name]
        reason = state.reason.value if state.reason is not None else ""
        value = None if state.value is None else shown(state.value)
        seen[name].append(SimulatedValue(after_s=after_s, value=value, quality=state.quality.name, reason=reason))


def _tag(config: DeviceConfig, name: str, values: list[SimulatedValue]) -> SimulatedTag:
    tag = config.tags[name]
    numbers = [
        each.value for each in values if isinstance(each.value, int | float) and not isinstance(each.value, bool)
    ]
    return SimulatedTag(
        path=f"{config.path}/{name}",
        unit=tag.publish_unit,
        range=None if tag.range is None else list(tag.range),
        reads=len(values),
        least=min(numbers, default=None),
        greatest=max(numbers, default=None),
        values=values,
    )


def _line(each: SimulatedTag) -> str:
    last = each.values[-1] if each.values else None
    said = "no value" if last is None or last.value is None else f"{last.value} {each.unit}".rstrip()
    why = f" ({reason_words(last.reason)})" if last is not None and last.reason else ""
    between = "" if each.least is None else f", {each.least:g} to {each.greatest:g}"
    quality = last.quality if last is not None else "BAD"
    return f"{each.path} = {said} [{quality}{why}{between} in {each.reads} reads{range_text(each.range, each.unit)}]"
