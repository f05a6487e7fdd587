"""Have the gateways read each new or changed address of a plan once: a plan against the plant, before anything is applied."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import orjson

from nexus_cli.diagnostics.diagnostic import Diagnostic
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.groups import Group
from nexus_cli.discover.via import try_via
from nexus_cli.plan.plan import Plan
from nexus_cli.plan.probed import MOST_PROBED, ProbeEntry, Trial, Tried, probe_entry, probe_finding, trials_of
from nexus_cli.settings import Settings

LONGEST_S = 60.0
"""All trial reads of one plan, in seconds."""
SILENCE_S = 25.0
"""Longest wait for an answer of a gateway: it opens a connection for a link that it does not run."""
MOST_BYTES = 60_000
"""A request, beyond which a device is asked in pieces; gateways take 65,536."""
Read = tuple[ProbeEntry, str]
"""A trial read, and the reason of its quality; "" when the device was not reached."""


async def try_addresses(plan: Plan, settings: Settings) -> Tried:
    """Try them, gateway beside gateway and device after device. Only reads; an unanswered address is an answer, too."""
    trials, left_out = trials_of(plan.changes)
    settings = replace(settings, site=f"{plan.enterprise}/{plan.site}")
    by_gateway: dict[str, list[Trial]] = {}
    for trial in trials:
        by_gateway.setdefault(str(trial.device.get("gateway") or ""), []).append(trial)
    found: dict[str, Read] = {}
    unknown: list[str] = []
    if left_out:
        unknown.append(f"trial read: {left_out:,} more addresses than the {MOST_PROBED} that one plan tries")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LONGEST_S), Group() as group:
            for gateway, devices in by_gateway.items():
                group.create_task(_of_gateway(gateway, devices, settings, found, unknown), name=f"try {gateway}")
    wanted = [f"{trial.device['path']}/{name}" for trial in trials for name in trial.tags]
    missing = [path for path in wanted if path not in found]
    if missing and not unknown:
        unknown.append(
            f"trial read of {missing[0]} and {len(missing) - 1:,} more: no time left after {LONGEST_S:.0f} s"
        )
    reads = [found[path] for path in wanted if path in found]
    return Tried(entries=tuple(entry for entry, _ in reads), findings=_findings(reads), unknown=tuple(unknown))


def _findings(reads: Sequence[Read]) -> tuple[Diagnostic, ...]:
    """One for each address that gives no GOOD value; of a silent device one alone."""
    found: list[Diagnostic] = []
    silent: set[str] = set()
    for entry, reason in reads:
        one = probe_finding(entry, reason=reason)
        if one is None or (one.code == "NX4022" and entry["device"] in silent):
            continue
        if one.code == "NX4022":
            silent.add(entry["device"])
        found.append(one)
    return tuple(found)


async def _of_gateway(
    gateway: str, trials: Sequence[Trial], settings: Settings, found: dict[str, Read], unknown: list[str]
) -> None:
    """The devices of one gateway, in order. A gateway that does not answer costs a line, not a finding for each tag."""
    for trial in trials:
        for part in _pieces(trial):
            try:
                await _of_device(part, gateway, settings, found)
            except NexusError as error:
                if error.code == "NX6610" and "no such device or link" not in error.message:
                    why = error.message.partition("does not read it: ")[2] or error.message
                    for name in part.tags:
                        path = f"{part.device['path']}/{name}"
                        found.setdefault(path, (probe_entry(part, name, problem=why.rstrip("."), answer={}), ""))
                    continue
                why = "it runs an older version of nexus" if error.code == "NX6610" else error.message
                unknown.append(f"trial reads of gateway {gateway or '(none)'}: {why.rstrip('.')}")
                return


async def _of_device(trial: Trial, gateway: str, settings: Settings, found: dict[str, Read]) -> None:
    device: dict[str, Any] = orjson.loads(orjson.dumps(dict(trial.device)))
    async with contextlib.aclosing(try_via(device, gateway=gateway, settings=settings, silence_s=SILENCE_S)) as reads:
        async for read in reads:
            if read.tag not in trial.tags:
                continue
            answer: Mapping[str, Any] = msgspec.to_builtins(read)
            entry = probe_entry(trial, read.tag, problem="", answer=answer)
            found[entry["path"]] = (entry, read.reason)


def _pieces(trial: Trial) -> list[Trial]:
    """A device whose request would be too large, in halves."""
    if len(trial.tags) < 2 or len(orjson.dumps(dict(trial.device))) <= MOST_BYTES:
        return [trial]
    middle = len(trial.tags) // 2
    halves = []
    for names in (trial.tags[:middle], trial.tags[middle:]):
        tags = {name: trial.device["tags"][name] for name in names}
        halves += _pieces(Trial(device={**trial.device, "tags": tags}, tags=names))
    return halves
