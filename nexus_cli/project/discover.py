"""The verbs of discovery: look at a device, a broker or a file; propose; edit the site file."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nexus_cli.diagnostics import Diagnostic, NexusError, Outcome
from nexus_cli.diagnostics.codes import finding
from nexus_cli.discover.found import Discovery
from nexus_cli.discover.online import Collector, Progress, Tell, Wanted, collect
from nexus_cli.discover.propose import Proposal, ProposedTag, propose
from nexus_cli.discover.reach import unreachable
from nexus_cli.discover.target import PLACE, SERIAL, Target, connected, is_address, parse_target
from nexus_cli.settings import Settings

if TYPE_CHECKING:
    from nexus_cli.discover.edit import Edit
    from nexus_cli.discover.journal import Journal
    from nexus_cli.discover.merge import Mode
    from nexus_cli.drivers.base import Browsed
    from nexus_cli.project.text import Reading

RESUMABLE = frozenset({"opcua"})
"""Protocols whose walk can go on where an earlier one ended."""
_HOST = re.compile(r"(\d{1,3}(\.\d{1,3}){3}|[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*)(:\d{1,5})?")
PARALLEL = 8
"""Calls under way at once on a link of our own; beside a gateway's polls it is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a person asked for.

    Attributes:
        target: An address, a file, or "" for the device at `at`.
        into: File to edit, None only shows.
        at: `area/line/device`.
        wanted: Filters and limits.
        connection: Further connection keys (user, password reference, security, trust).
        via: Gateway that browses for us, "" for ourselves.
        fresh: Do not go on from an earlier run.
        importing: Options of the importers by name.
    """

    target: str = ""
    into: Path | None = None
    at: str = ""
    wanted: Wanted = field(default_factory=Wanted)
    connection: Mapping[str, Any] = field(default_factory=dict)
    via: str = ""
    fresh: bool = False
    importing: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovered:
    """What was found and what it would become; one entry per link or file section."""

    proposals: tuple[Proposal, ...]
    site: Path | None = None
    reading: Reading | None = None


async def discover(
    ask: Ask, *, settings: Settings, stop: asyncio.Event, tell: Tell = lambda _progress: None
) -> Outcome[Discovered]:
    """Look, and propose. Writes nothing but the journal of a walk.

    Raises:
        NexusError: NX6602 the device does not answer, NX6608 a library is missing, NX6610/NX6611 of the gateway.
    """
    from nexus_cli.discover.place import site_of, split_at
    from nexus_cli.drivers.registry import kinds

    if ask.at and split_at(ask.at) is None:
        hint = "--at packaging/line-1/filler, in small letters, digits, '.', '_' and '-'"
        return Outcome(None, (finding("NX6603", f"'{ask.at}' is not area/line/device", hint=hint),))
    site = site_of(ask.into) if ask.into is not None else _site_here()
    reading = _read(site)
    if ask.target and not is_address(ask.target):
        found = _imported(ask)
        if found.value is None:
            return Outcome(None, found.findings)
        discoveries, findings = found.value, found.findings
    else:
        target = _target(ask, reading, kinds())
        if target.value is None:
            return Outcome(None, target.findings)
        if target.value.units and (refused := _units_refused(ask)):
            return Outcome(None, refused)
        discoveries, findings = [await _online(target.value, ask, reading, settings, stop, tell)], ()
    proposals = tuple(propose(one, requests=_requests) for one in discoveries)
    if discoveries[0].facts.get("units") == []:
        hint = "another baud rate, parity, wiring or port? slow devices: --set timeout=1s"
        what = f"none of {discoveries[0].facts['asked']} units answers at {proposals[0].source}"
        findings = (*findings, finding("NX6607", what, hint=hint))
    elif "units" not in discoveries[0].facts and not any(one.tags or one.devices for one in proposals):
        hint = "" if discoveries[0].protocol != "modbus" else "is it a SunSpec device? else import its register list"
        findings = (*findings, finding("NX6607", f"nothing to add was found at {proposals[0].source}", hint=hint))
    return Outcome(Discovered(proposals=proposals, site=site, reading=reading), findings)


def edit(found: Discovered, ask: Ask, *, mode: Mode) -> Outcome[Edit]:
    """The edited file, proved to validate; nothing is written."""
    from nexus_cli.discover.edit import edited, proved
    from nexus_cli.drivers.registry import kinds
    from nexus_cli.project.text import read
    from nexus_cli.source.files import shown

    assert ask.into is not None
    own_places = all(device.place.count("/") == 2 for one in found.proposals for device in one.devices)
    if not ask.at and not own_places:
        return Outcome(None, (finding("NX6603", "--into needs the place of the device", hint="--at area/line/device"),))
    reading = found.reading

    def file_of(path: tuple[str, ...]) -> str:
        tree = reading.tree if reading is not None else None
        place = tree.place(path, True) if tree is not None else None
        return place.file if place is not None else ""

    outcome = edited(
        found.proposals,
        file=ask.into,
        at=ask.at,
        mode=mode,
        model=reading.model if reading is not None else None,
        file_of=file_of,
        kinds=kinds(),
    )
    if outcome.value is None or outcome.value.merged.empty or found.site is None:
        return outcome
    files = [file.path for file in reading.files] if reading is not None else []
    if reading is not None and ask.into.is_file() and shown(ask.into) not in {file.name for file in reading.files}:
        message = f"'{shown(ask.into)}' is not part of the site '{shown(found.site)}'"
        return Outcome(None, (finding("NX6603", message, hint="include it there, or name another file"),))
    problems = proved(outcome.value, site=found.site, files=files, check=lambda path: read(path).findings)
    return outcome if not problems else Outcome(None, problems)


def write(change: Edit) -> None:
    """Write an edit. Raises NexusError when the file can't be written."""
    from nexus_cli.discover import edit as edits

    try:
        edits.write(change)
    except OSError as error:
        raise NexusError(f"The file {change.path} can't be written.", cause=str(error), exit_code=1) from None


def _site_here() -> Path | None:
    from nexus_cli.project.text import locate

    return locate(None).value


def _read(site: Path | None) -> Reading | None:
    from nexus_cli.project.text import read

    return read(site) if site is not None and site.is_file() else None


def _imported(ask: Ask) -> Outcome[list[Discovery]]:
    from nexus_cli.discover.importers import ImportOptions, import_file

    if SERIAL.fullmatch(ask.target) and not Path(ask.target).is_file():
        hint = f"modbus:///{ask.target.lstrip('/')}?unit=1&baudrate=9600"
        return Outcome(None, (finding("NX6600", f"'{ask.target}' is a serial line", hint=hint),))
    if _HOST.fullmatch(ask.target) and not Path(ask.target).exists():
        hint = (
            f"opcua://{ask.target}, modbus://{ask.target}, s7://{ask.target}, ads://{ask.target} or mqtt://{ask.target}"
        )
        return Outcome(None, (finding("NX6600", f"'{ask.target}' names no protocol and is no file", hint=hint),))
    imported = import_file(Path(ask.target), options=ImportOptions(**ask.importing))
    for discovery in imported.value or ():
        discovery.connection.update(ask.connection)
        discovery.found[:] = [one for one in discovery.found if _taken(one.name, ask.wanted, discovery)]
        discovery.facts.setdefault("complete", not ask.wanted.partial)
    return imported


def _taken(name: tuple[str, ...], wanted: Wanted, discovery: Discovery) -> bool:
    """Whether the filters take a value of a file; what they leave out is named."""
    from nexus_cli.discover.found import Skipped
    from nexus_cli.discover.online import left_out

    reason = left_out(name, wanted)
    if reason:
        discovery.skipped.append(Skipped("/".join(name), reason))
    return not reason


def _units_refused(ask: Ask) -> tuple[Diagnostic, ...]:
    """Why a range of unit ids can't be asked for like that."""
    if ask.via:
        message = "a gateway looks at one unit at a time"
        return (finding("NX6600", message, hint="one unit of its link: ?unit=3"),)
    if ask.into is not None:
        return (finding("NX6603", "a range of units is no device to write down", hint="one of them: ?unit=3"),)
    return ()


def _target(ask: Ask, reading: Reading | None, kinds: Mapping[str, Any]) -> Outcome[Target]:
    """The address; of a device that the site has, its own connection with its secret references."""
    given = parse_target(ask.target, kinds, extra=ask.connection) if ask.target else None
    if given is not None and (given.value is None or given.value.device is None):
        return given
    from nexus_cli.model.resolve import device_config

    bound = reading.model.devices.get(ask.at) if reading is not None and reading.model is not None else None
    if bound is None or bound.kind is None or bound.connection is None:
        if given is not None:
            return given
        what = f"the site has no device '{ask.at}' to discover" if ask.at else "nothing to discover was named"
        return Outcome(None, (finding("NX6600", what, hint="nexus discover opcua://10.0.0.5:4840, or a file"),))
    config = device_config(bound)
    written = bound.connection.model_dump(mode="json", exclude_none=True, exclude_unset=True)
    own = Target(text=f"{config.link} ({ask.at})", protocol=config.protocol, connection=written, device=config)
    if given is None or given.value is None or given.value.device is None:
        return Outcome(own)
    asked = given.value.device
    if given.value.units or asked.protocol != config.protocol or asked.link != config.link:
        return given
    for key in PLACE:  # another unit, or another runtime, of the same link
        meant, has = asked.connection.get(key), config.connection.get(key)
        if key in given.value.connection and meant != has:
            message = f"'{ask.at}' has {key} {has}, what is to be discovered has {meant}"
            hint = "--at the device that has it, or leave out the address"
            return Outcome(None, (finding("NX6606", message, where=bound.where, hint=hint),))
    return Outcome(own) if not ask.connection else given


async def _online(
    target: Target, ask: Ask, reading: Reading | None, settings: Settings, stop: asyncio.Event, tell: Tell
) -> Discovery:
    if target.protocol == "mqtt":
        from nexus_cli.discover.mqtt import discover_topics

        root = reading.tree.root if reading is not None and reading.tree is not None else {}
        enterprise, _, name = settings.site.partition("/")
        prefix = (str(root.get("enterprise") or enterprise), str(root.get("site") or name))
        devices = reading.model.devices if reading is not None and reading.model is not None else {}
        own = frozenset(path for path, device in devices.items() if not device.external)
        return await discover_topics(
            target, wanted=ask.wanted, settings=settings, prefix=prefix, own=own, stop=stop, tell=tell
        )
    if target.units:
        from nexus_cli.discover.units import ask_units
        from nexus_cli.drivers.base import DriverError

        try:
            return await ask_units(target, home=str(settings.home), stop=stop, tell=tell)
        except DriverError as error:
            raise unreachable(error, target.protocol) from None
    collector = Collector(target, ask.wanted)
    journal = None
    if target.protocol in RESUMABLE:
        from nexus_cli.discover.journal import Journal
        from nexus_cli.drivers.opcua.browse import OBJECTS

        assert target.device is not None
        key: dict[str, Any] = {"link": target.device.link, "start": ask.wanted.start}
        key |= {"depth": ask.wanted.depth, "properties": ask.wanted.properties}
        journal = Journal(settings.home / "discover", key, root=ask.wanted.start or OBJECTS, fresh=ask.fresh)
        for browsed in journal.kept:
            collector.take(browsed)
    try:
        async with contextlib.aclosing(_source(target, ask, settings, journal)) as source:
            return await collect(source, collector, wanted=ask.wanted, stop=stop, tell=tell, journal=journal)
    except NexusError as error:
        if journal is not None and journal.noted:
            more = f"; {error.hint}" if error.hint else ""
            error.hint = f"what was found so far is kept, the same command goes on from there{more}"
        raise
    finally:
        if journal is not None:
            journal.close(complete=False)


async def _source(
    target: Target, ask: Ask, settings: Settings, journal: Journal | None
) -> AsyncGenerator[Browsed, None]:
    """What a driver, or a gateway, browses."""
    from nexus_cli.drivers.base import DriverError
    from nexus_cli.drivers.walk import walk

    if ask.via:
        from nexus_cli.discover.frontier import Frontier
        from nexus_cli.discover.via import browse_via

        frontier = Frontier(journal.root, resume=journal.resume, kept=journal.kept) if journal is not None else None
        async with contextlib.aclosing(
            browse_via(target, gateway=ask.via, wanted=ask.wanted, settings=settings, frontier=frontier)
        ) as remote:
            async for browsed in remote:
                yield browsed
        return
    driver = _driver(target.protocol)
    assert target.device is not None
    try:
        session = await driver.connect([target.device], home=str(settings.home))
        try:
            wanted = ask.wanted
            async for browsed in walk(
                target.protocol,
                session,
                start=wanted.start,
                depth=wanted.depth,
                properties=wanted.properties,
                parallel=PARALLEL,
                resume=journal.resume if journal is not None else {},
            ):
                yield browsed
        finally:
            await session.close()
    except DriverError as error:
        raise unreachable(error, target.protocol) from None


def _driver(protocol: str) -> Any:
    from nexus_cli.drivers.registry import driver

    try:
        return driver(protocol)
    except KeyError:
        raise NexusError(f"There is no driver for {protocol} yet.", code="NX6600", exit_code=1) from None


def _requests(protocol: str, connection: Mapping[str, Any], tags: Sequence[ProposedTag]) -> int:
    """Requests of one cycle, counted by the driver's own grouping."""
    from nexus_cli.drivers.base import Point
    from nexus_cli.drivers.registry import kinds
    from nexus_cli.model.driver_kind import AddressError

    kind = kinds()[protocol]
    made = connected("", protocol, dict(connection), kinds())
    if made.value is None or made.value.device is None:
        return -(-len(tags) // 50)
    bound = kind.connection.model_validate(dict(connection))
    points = []
    for tag in tags:
        try:
            read = kind.tag.model_validate(tag.keys)
            address = kind.address_of(bound, read)
        except (AddressError, ValueError):
            continue
        points.append(Point(tag.name, address.text, str(read.type), address.options))
    try:
        return len(_driver(protocol).group(made.value.device, points))
    except NexusError:
        return -(-len(points) // 50)


__all__ = ["Ask", "Diagnostic", "Discovered", "Progress", "Wanted", "discover", "edit", "write"]
