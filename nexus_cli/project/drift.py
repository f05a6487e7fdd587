"""The verb of `nexus drift`: what differs between files, record, gateways and devices; nothing is written."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterator, Mapping, Sequence

from nexus_cli.diagnostics.suggest import nearest
from nexus_cli.diagnostics.wording import counted
from nexus_cli.discover.check_via import check_gateways
from nexus_cli.drift.declared import declared_drift
from nexus_cli.drift.kinds import LOW, Ignored, naming_nothing
from nexus_cli.drift.report import Look, askable
from nexus_cli.model.config import DeviceConfig, readable_device
from nexus_cli.model.snapshot import Attributes, Snapshot
from nexus_cli.plan.change import Change
from nexus_cli.plan.diff import DEVICE, diff, differing
from nexus_cli.plan.plan import plain_json
from nexus_cli.project.text import LoadedSite, Sourced, load
from nexus_cli.settings import Settings
from nexus_cli.wire.control import State
from nexus_cli.wire.control_drift import DriftFacts, DriftReport, Reverted
from nexus_cli.wire.http_drift import DriftClient
from nexus_cli.wire.http_steering import SteeringClient

TURNS = 5
"""How often the record is asked for while deployments end."""
BATCH = 2_000
"""Resources in one question."""


def drift_site(
    path: str | None,
    *,
    settings: Settings,
    env: str | None = None,
    variables: Mapping[str, str] | None = None,
    ignore: Sequence[Ignored] = (),
    least: str = LOW,
    devices: bool = True,
) -> Sourced[DriftReport]:
    """Compare the files with the record, the record with the gateways, and with the devices. Writes nothing, anywhere.

    Args:
        path: Site file, folder, or None for the only one.
        settings: Where control and the broker are.
        env: Overlay.
        variables: Values over the declared `vars`.
        ignore: What is no finding.
        least: The least severity that counts.
        devices: False asks no device.

    Raises:
        NexusError: Control can't be reached.
    """
    loaded = load(path, env=env, variables=variables)
    if loaded.value is None:
        return Sourced(None, loaded.findings, loaded.files)
    report = asyncio.run(_look(loaded.value, settings, ignore=ignore, least=least, devices=devices))
    return Sourced(report, loaded.findings, loaded.files)


def site_of(path: str, *, env: str | None = None, variables: Mapping[str, str] | None = None) -> Sourced[str]:
    """`enterprise/site` of a site file or folder; no value when it has errors."""
    loaded = load(path, env=env, variables=variables)
    if loaded.value is None:
        return Sourced(None, loaded.findings, loaded.files)
    found = loaded.value.snapshot
    return Sourced(f"{found.enterprise}/{found.site}", loaded.findings, loaded.files)


def revert_drift(settings: Settings, *, preview: bool, site: str = "") -> Reverted:
    """Have control put back what can be put back, or say what would be.

    Args:
        settings: Where control is.
        preview: Change nothing.
        site: The site that is meant, as `site_of` gives it; "" is that of the runtime.

    Raises:
        NexusError: NX4203, and those of control, which refuses another site than its own.
    """
    return asyncio.run(_revert(settings, preview=preview, site=site))


async def _revert(settings: Settings, *, preview: bool, site: str) -> Reverted:
    async with DriftClient(settings, site=site or settings.site) as control:
        return await control.revert_drift(preview=preview)


async def _look(
    loaded: LoadedSite, settings: Settings, *, ignore: Sequence[Ignored], least: str, devices: bool
) -> DriftReport:
    desired = loaded.snapshot
    site = f"{desired.enterprise}/{desired.site}"
    async with DriftClient(settings, site=site) as control:
        state, facts = await _at_one_time(control)
        wanted = {one for one in differing(state.digests, desired.digests) if one in state.digests}
        if devices:
            wanted |= {one for one in state.digests if one.startswith("device.")}
        resources = await _resources(control, sorted(wanted))
    look = Look(planes=["declared", "recorded", *facts.planes])
    look.findings += declared_drift(changes_of(loaded, state, resources), changing=facts.changing)
    look.findings += facts.findings
    look.unknown += facts.unknown
    look.notes += facts.notes
    known = {*names_in(desired.resources), *names_in(resources), *desired.digests, *state.digests}
    look.notes += [_names_nothing(glob, known) for glob in naming_nothing(ignore, known)]
    if devices:
        await _ask(look, resources, facts, settings, site=site)
    return look.report(
        site=site,
        time_us=time.time_ns() // 1000,
        deployment=state.deployment,
        running=facts.running,
        ignore=ignore,
        least=least,
    )


async def _at_one_time(control: DriftClient) -> tuple[State, DriftFacts]:
    """Both of the same deployment: one that ends between the questions would look like drift."""
    for _ in range(TURNS):
        state, facts = await control.state(), await control.drift()
        if state.deployment == facts.deployment:
            break
    return state, facts


async def _ask(
    look: Look, resources: Mapping[str, Attributes], facts: DriftFacts, settings: Settings, *, site: str
) -> None:
    """Have the gateways check the recorded devices."""
    look.planes.insert(3, "device")
    recorded: dict[str, DeviceConfig] = {}
    for address, attributes in resources.items():
        device = readable_device(attributes, address=address) if address.startswith("device.") else None
        if device is not None:
            recorded[device.path] = device
    async with SteeringClient(settings, site=site) as control:
        paused = {one.device: one.reason for one in await control.out_of_service()}
    asked, unknown = askable(recorded.values(), changing=facts.changing, paused=paused)
    look.unknown += unknown
    paths = {gateway: [one.path for one in each] for gateway, each in asked.items()}
    for examined in await check_gateways(paths, settings=settings):
        look.take_device(recorded[examined.path], examined, facts.identities)
    fresh = sum(path not in facts.identities for path in look.identities)
    if fresh:
        look.notes.append(
            f"what {counted(fresh, 'device')} {'says of itself' if fresh == 1 else 'say of themselves'} is not recorded yet: `drift: {{every: 6h}}` in the site file records it"
        )


def changes_of(loaded: LoadedSite, state: State, resources: Mapping[str, Attributes]) -> tuple[Change, ...]:
    """From the record to the files.

    Args:
        loaded: The files.
        state: Digests of the record.
        resources: Recorded attributes of what differs, by address.
    """
    desired = loaded.snapshot
    base = Snapshot(desired.enterprise, desired.site, dict(resources), dict(state.digests))
    return diff(
        base, plain_json(desired, state.digests), moved=[(one.from_, one.to) for one in loaded.model.site.moved]
    )


def _names_nothing(glob: str, known: Collection[str]) -> str:
    said = f"--ignore '{glob}' matches nothing that is declared or recorded"
    if any(path.startswith(f"{glob}/") for path in known):
        return f"{said}: write '{glob}/**' for what is in it"
    close = nearest(glob, known)
    return f"{said}: did you mean '{close}'?" if close else said


def names_in(resources: Mapping[str, Attributes]) -> Iterator[str]:
    """Paths of devices and their tags, as findings have them."""
    for address, attributes in resources.items():
        if address.startswith(DEVICE):
            path = address.removeprefix(DEVICE)
            yield path
            yield from (f"{path}/{tag}" for tag in attributes.get("tags") or ())


async def _resources(control: DriftClient, addresses: Sequence[str]) -> dict[str, Attributes]:
    found: dict[str, Attributes] = {}
    for start in range(0, len(addresses), BATCH):
        found.update(await control.resources(addresses[start : start + BATCH]))
    return found
