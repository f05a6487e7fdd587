"""The verbs of discovery: look at a device, a broker or a file; propose; edit the site file."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from nexus_cli.diagnostics import Diagnostic, NexusError, Outcome
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.missing import hint_of_missing
from nexus_cli.discover import edit as edits
from nexus_cli.discover.ask import Ask
from nexus_cli.discover.edit import Edit, edited, odd_ones, proved
from nexus_cli.discover.filters import Wanted, left_out, why_nothing
from nexus_cli.discover.found import Discovery, Skipped
from nexus_cli.discover.importers import import_file
from nexus_cli.discover.known_tags import KnownTags, known_tags
from nexus_cli.discover.merge import Mode
from nexus_cli.discover.online import OnProgress, Progress
from nexus_cli.discover.placement import device_path, site_of, split_at
from nexus_cli.discover.propose import Proposal, ProposedTag, propose
from nexus_cli.discover.target import PLACE, Target, connected, is_address, parse_target
from nexus_cli.drivers.base import Point
from nexus_cli.drivers.modbus.url import SERIAL
from nexus_cli.drivers.registry import kinds
from nexus_cli.model.driver_kind import AddressError
from nexus_cli.model.resolve import device_config
from nexus_cli.project.discover_online import driver_of
from nexus_cli.project.discover_online import online as look_online
from nexus_cli.project.text import Reading, locate, read
from nexus_cli.settings import Settings
from nexus_cli.source.files import shown

_HOST = re.compile(r"(\d{1,3}(\.\d{1,3}){3}|[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*)(:\d{1,5})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovered:
    """What was found and what it would become.

    Attributes:
        proposals: One per link or file section.
        site: The site file that it would become a part of.
        reading: That site as it is.
        known: What of it the site has already.
        into: The file to edit when none is named: the one that has the device, its line or its area, else the site's
            own; "" without a site.
        at: `area/line/device` that was asked for, or that a stored discovery is of.
    """

    proposals: tuple[Proposal, ...]
    site: Path | None = None
    reading: Reading | None = None
    known: KnownTags = field(default_factory=dict)
    into: str = ""
    at: str = ""


async def discover(
    ask: Ask, *, settings: Settings, stop: asyncio.Event, on_progress: OnProgress = lambda _progress: None
) -> Outcome[Discovered]:
    """Look, and propose. Writes nothing but the journal of a walk.

    Raises:
        NexusError: NX6602 the device does not answer, NX6608 a library is missing, NX6610/NX6611 of the gateway.
    """
    if ask.at and split_at(ask.at) is None:
        hint = "--at packaging/line-1/filler, in small letters, digits, '.', '_' and '-'"
        return Outcome(None, (finding("NX6603", f"'{ask.at}' is not area/line/device", hint=hint),))
    protocol = ""
    if ask.stored:
        from nexus_cli.project.discover_later import of_stored  # noqa: PLC0415 - HTTP client: only for a stored one

        ask, protocol = await of_stored(ask, settings)
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
        if protocol and target.value.protocol != protocol:
            message = f"the discovery is of a device that speaks {protocol}, '{ask.at}' speaks {target.value.protocol}"
            return Outcome(None, (finding("NX6606", message, hint="--at the device that was discovered"),))
        if target.value.units and (refused := _units_refused(ask)):
            return Outcome(None, refused)
        discoveries, findings = [await look_online(target.value, ask, reading, settings, stop, on_progress)], ()
    proposals = tuple(propose(one, requests=_requests) for one in discoveries)
    if discoveries[0].facts.get("units") == []:
        hint = "another baud rate, parity, wiring or port? slow devices: --set timeout=1s"
        what = f"none of {discoveries[0].facts['asked']} units answers at {proposals[0].source}"
        findings = (*findings, finding("NX6607", what, hint=hint))
    elif "units" not in discoveries[0].facts and not any(one.tags or one.devices for one in proposals):
        online = not ask.target or is_address(ask.target)
        kind = kinds().get(discoveries[0].protocol)
        hint = kind.browse_hint if online and kind is not None else ""
        hint = why_nothing(discoveries, ask.wanted) or hint
        nothing = finding("NX6607", f"nothing to add was found at {proposals[0].source}", hint=hint)
        findings = findings or (nothing,)
    model = reading.model if reading is not None else None
    known = known_tags(proposals, at=ask.at, model=model, kinds=kinds())
    into = _declaring(reading, ask.at or next(iter(known), "")) or (shown(site) if site is not None else "")
    return Outcome(
        Discovered(proposals=proposals, site=site, reading=reading, known=known, into=into, at=ask.at), findings
    )


def _declaring(reading: Reading | None, at: str) -> str:
    """Name of the file that has a device, its line or its area, "" when none has."""
    held: Any = reading.tree.root if reading is not None and reading.tree is not None else None
    declared = ""
    for count, key in enumerate(device_path(at) if at else (), start=1):
        held = held.get(key) if isinstance(held, Mapping) else None
        if held is None:
            break
        if count > 1:
            declared = _file_of(reading, device_path(at)[:count])
    return declared


def _file_of(reading: Reading | None, path: tuple[str, ...]) -> str:
    """Name of the file that declares a model path, "" when none does."""
    place = reading.tree.place(path, True) if reading is not None and reading.tree is not None else None
    return place.file if place is not None else ""


def edit(found: Discovered, ask: Ask, *, mode: Mode) -> Outcome[Edit]:
    """The edited file, proved to validate; nothing is written."""
    assert ask.into is not None
    own_places = all(device.place.count("/") == 2 for one in found.proposals for device in one.devices)
    if not ask.at and not own_places:
        return Outcome(None, (finding("NX6603", "--into needs the place of the device", hint="--at area/line/device"),))
    reading = _read_again(found)
    named = {file.name for file in reading.files} if reading is not None else set[str]()
    if named and found.site is not None and ask.into.is_file() and shown(ask.into) not in named:
        message = f"'{shown(ask.into)}' is not part of the site '{shown(found.site)}'"
        hint = f"add '{_from(found.site, ask.into)}' to its 'include:', or name another file"
        return Outcome(None, (finding("NX6603", message, hint=hint),))
    make = partial(
        edited,
        found.proposals,
        file=ask.into,
        at=ask.at,
        mode=mode,
        model=reading.model if reading is not None else None,
        file_of=partial(_file_of, reading),
        kinds=kinds(),
    )
    outcome = make()
    change = outcome.value
    if change is None or change.merged.empty:
        return outcome
    if found.site is None:
        return Outcome(dataclasses.replace(change, notes=("no site.yaml includes this file yet",)))
    files = [file.path for file in reading.files] if reading is not None else []
    met: set[str] = set()

    def check(path: Path) -> tuple[Diagnostic, ...]:
        after = read(path)
        met.update(file.path.name for file in after.files)
        return after.findings

    odd: dict[str, dict[str, str]] = {}
    while problems := proved(change, site=found.site, files=files, check=check):
        more = odd_ones(change, problems)
        if not more or (more.keys() <= odd.keys() and all(more[tag].keys() <= odd[tag].keys() for tag in more)):
            return Outcome(None, problems)
        for tag, keys in more.items():
            odd.setdefault(tag, {}).update(keys)
        outcome = make(odd=odd)
        change = outcome.value
        if change is None or change.merged.empty:
            return outcome
    if ask.into.name in met:
        return outcome
    own = _from(found.site, ask.into)
    note = f"'{shown(found.site)}' does not include this file yet: add '{own}' to its 'include:'"
    return Outcome(dataclasses.replace(change, notes=(note,)))


def _from(site: Path, file: Path) -> str:
    """A file as the site's `include:` names it."""
    return Path(os.path.relpath(file.resolve(), site.parent.resolve())).as_posix()


def _read_again(found: Discovered) -> Reading | None:
    """The site as it is now: a file of it may have been edited during a long walk."""
    reading = found.reading
    if reading is None or found.site is None:
        return reading
    for file in reading.files:
        if not file.path.is_file() or file.path.read_bytes().decode("utf-8-sig", "replace") != file.text:
            return _read(found.site)
    return reading


def unwritable(ask: Ask) -> tuple[Diagnostic, ...]:
    """Why the file to edit can't be written, none when it can."""
    return edits.unwritable(ask.into) if ask.into is not None else ()


def write(change: Edit) -> None:
    """Write an edit. Raises NexusError when the file can't be written."""
    try:
        edits.write(change)
    except OSError as error:
        raise NexusError(f"The file {change.path} can't be written.", code="NX6523", cause=str(error)) from None


def _site_here() -> Path | None:
    return locate(None).value


def _read(site: Path | None) -> Reading | None:
    return read(site) if site is not None and site.is_file() else None


def _imported(ask: Ask) -> Outcome[list[Discovery]]:
    if SERIAL.fullmatch(ask.target) and not Path(ask.target).is_file():
        hint = f"modbus:///{ask.target.lstrip('/')}?unit=1&baudrate=9600"
        return Outcome(None, (finding("NX6600", f"'{ask.target}' is a serial line", hint=hint),))
    if _HOST.fullmatch(ask.target) and not Path(ask.target).exists():
        schemes = [*(kind.url.schemes[0] for kind in kinds().values() if kind.url is not None), "mqtt"]
        *first, last = (f"{scheme}://{ask.target}" for scheme in schemes)
        hint = hint_of_missing(ask.target) or f"{', '.join(first)} or {last}"
        return Outcome(None, (finding("NX6600", f"'{ask.target}' has no protocol and is not a file", hint=hint),))
    imported = import_file(Path(ask.target), options=ask.importing)
    for discovery in imported.value or ():
        discovery.connection.update(ask.connection)
        discovery.found[:] = [one for one in discovery.found if _taken(one.name, ask.wanted, discovery)]
        discovery.facts.setdefault("complete", not ask.wanted.partial)
    return imported


def _taken(name: tuple[str, ...], wanted: Wanted, discovery: Discovery) -> bool:
    """Whether the filters take a value of a file; what they leave out is named."""
    reason = left_out(name, wanted)
    if reason:
        discovery.skipped.append(Skipped("/".join(name), reason))
    return not reason


def _units_refused(ask: Ask) -> tuple[Diagnostic, ...]:
    """Why a range of unit ids can't be searched with these options."""
    if ask.via:
        message = "a gateway looks at one unit at a time"
        return (finding("NX6600", message, hint="one unit of its link: ?unit=3"),)
    if ask.into is not None:
        return (finding("NX6603", "a range of unit ids is not one device", hint="one of them: ?unit=3"),)
    return ()


def _target(ask: Ask, reading: Reading | None, kinds: Mapping[str, Any]) -> Outcome[Target]:
    """The address; of a device that the site has, its own connection with its secret references."""
    given = parse_target(ask.target, kinds, extra=ask.connection) if ask.target else None
    if given is not None and (given.value is None or given.value.device is None):
        return given

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
        wanted, has = asked.connection.get(key), config.connection.get(key)
        if key in given.value.connection and wanted != has:
            message = f"'{ask.at}' has {key} {has}, what is to be discovered has {wanted}"
            hint = "--at the device that has it, or leave out the address"
            return Outcome(None, (finding("NX6606", message, where=bound.where, hint=hint),))
    return Outcome(own) if not ask.connection else given


def _requests(protocol: str, connection: Mapping[str, Any], tags: Sequence[ProposedTag]) -> int:
    """Requests of one cycle, counted by the driver's own grouping."""
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
        return len(driver_of(protocol).group(made.value.device, points))
    except NexusError:
        return -(-len(points) // 50)


__all__ = ["Ask", "Diagnostic", "Discovered", "Progress", "Wanted", "discover", "edit", "unwritable", "write"]
