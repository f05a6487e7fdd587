"""The verb of `nexus read --direct`: the address of a tag asked on its device now, beside what is published of it."""

from __future__ import annotations

from dataclasses import dataclass

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.discover.via import read_via
from nexus_cli.drivers.base import Opinion, Point, points_of
from nexus_cli.drivers.opinion import LIBRARY, NEXUS, ask
from nexus_cli.model.config import DeviceConfig, device_from_json
from nexus_cli.model.snapshot import Attributes
from nexus_cli.project.live import read
from nexus_cli.project.live_value import Live
from nexus_cli.project.text import load
from nexus_cli.runtime.gateway.address_read import as_published
from nexus_cli.settings import Settings, load_settings
from nexus_cli.wire.http import ControlClient
from nexus_cli.wire.sample import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one client read, as a tag would be published.

    Attributes:
        opinion: Bytes and raw value.
        value: In the published unit; None where there is none.
        quality: `GOOD`, `UNCERTAIN` or `BAD`.
        reason: Of what is not GOOD.
    """

    opinion: Opinion
    value: Value = None
    quality: str = "BAD"
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Direct:
    """The answers, and what is published.

    Attributes:
        path: `area/line/device/tag`.
        address, type, unit: As the site declares them; the unit is the published one.
        live: What the broker keeps; None when there is nothing, or no broker.
        without: Why there is no `live`.
        answers: One per client that was asked, ours first.
    """

    path: str
    address: str
    type: str
    unit: str
    live: Live | None
    without: str
    answers: tuple[Answer, ...]

    @property
    def agree(self) -> bool:
        """False when two clients read different bytes, or one that can ask read nothing.

        Equal bytes are agreement, whatever a library makes of them: BCD and `none` are the site's words.
        """
        first, *others = [one for one in self.answers if not one.opinion.unable]
        if first.opinion.data and all(one.opinion.data for one in others):
            return all(one.opinion.data == first.opinion.data for one in others)
        said = [(one.opinion.data, one.value, one.quality) for one in (first, *others)]
        return not first.opinion.problem and all(one == said[0] for one in said)


async def read_direct(path: str, *, client: str, via: str = "", settings: Settings | None = None) -> Direct:
    """Read from the device over an own connection, or have its gateway read over the gateway's.

    Args:
        path: Of one tag.
        client: `nexus`, or `library` for both it and the published library, which always connects from here.
        via: Gateway that reads; "" reads from here.
        settings: Instead of those of this folder.

    Raises:
        NexusError: NX6522 the tag has no address on a device; NX6520 it is not recorded; NX6400 and others of control.
    """
    settings = settings or load_settings()
    device, name = await _declared(path, settings)
    tag = device.tags[name]
    points: dict[str, Point] = {point.name: point for point in points_of(device)}
    if device.protocol == "external" or name not in points:
        what = "is published by somebody else" if device.protocol == "external" else "is calculated"
        raise NexusError(
            f"'{path}' {what}; there is no address to ask.",
            code="NX6522",
        )
    if via and device.gateway and via != device.gateway:
        raise NexusError(
            f"The gateway '{via}' does not read {device.path}.", code="NX6610", hint=f"--via {device.gateway}"
        )
    live: Live | None = None
    without = ""
    try:
        live = await read(path, settings=settings)
    except NexusError as error:
        without = error.message
    answers = []
    for one in (NEXUS, LIBRARY) if client == LIBRARY else (NEXUS,):
        if via and one == NEXUS:
            answers.append(await _through(via, device.path, name, settings))
            continue
        opinion = await ask(one, device, points[name], home=str(settings.home))
        answers.append(_as_published(device, name, opinion))
    return Direct(
        path=path,
        address=tag.address,
        type=tag.type,
        unit=tag.publish_unit or tag.unit,
        live=live,
        without=without,
        answers=tuple(answers),
    )


async def _through(gateway: str, device: str, name: str, settings: Settings) -> Answer:
    """What the gateway read; why it did not is an answer too, so that what is published can still be shown."""
    client = f"gateway {gateway}"
    try:
        found = await read_via(device, name, gateway=gateway, settings=settings)
    except NexusError as error:
        return Answer(opinion=Opinion(client=client, problem=error.message))
    opinion = Opinion(
        client=client,
        asked=found.asked,
        data=bytes.fromhex(found.bytes),
        value=found.raw,
        problem=found.problem,
    )
    return Answer(opinion=opinion, value=found.value, quality=found.quality, reason=found.reason)


def _as_published(device: DeviceConfig, name: str, opinion: Opinion) -> Answer:
    value, quality, reason = as_published(device, name, opinion)
    return Answer(opinion=opinion, value=value, quality=quality, reason=reason)


async def _declared(path: str, settings: Settings) -> tuple[DeviceConfig, str]:
    """The device as it is recorded; where control is away, as the site file here declares it."""
    device, _, name = path.strip("/").rpartition("/")
    try:
        async with ControlClient(settings) as control:
            found = (await control.resources([f"device.{device}"])).get(f"device.{device}")
            known = [] if found else [each for each in (await control.state()).digests if each.startswith("device.")]
    except NexusError as away:
        found, known = _from_file(device, away)
    if not found:
        near = did_you_mean(device, [each.removeprefix("device.") for each in known])
        raise NexusError(f"No device '{device}' is recorded.", code="NX6520", hint=near or "nexus show")
    config = device_from_json(found)
    if name not in config.tags:
        hint = did_you_mean(name, config.tags) or f"it has {', '.join(list(config.tags)[:5])}"
        raise NexusError(f"{device} has no tag '{name}'.", code="NX6520", hint=hint)
    return config, name


def _from_file(device: str, away: NexusError) -> tuple[Attributes | None, list[str]]:
    loaded = load(None)
    if loaded.value is None:
        raise away
    devices = {f"device.{path}": attributes for path, attributes in loaded.value.snapshot.of_kind("device")}
    return devices.get(f"device.{device}"), list(devices)
