"""The parts of a look joined into one report; what an earlier look found stays while it is not known. Pure.

See docs/decisions/0114.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from nexus_cli.diagnostics.wording import counted as counted_words
from nexus_cli.drift.device import device_drift
from nexus_cli.drift.kinds import LOW, Ignored, chosen, counted
from nexus_cli.drivers.examined import DeviceExamined
from nexus_cli.exit_codes import Exit
from nexus_cli.model.config import DeviceConfig
from nexus_cli.wire.control_drift import DriftFinding, DriftReport, DriftUnknown


@dataclass(slots=True, kw_only=True)
class Look:
    """What was found so far.

    Attributes:
        planes: What was looked at, in the order of the planes.
        findings, unknown, notes: As of a report.
        identities: What the devices say of themselves, by path.
        devices: Devices that were asked.
    """

    planes: list[str] = field(default_factory=list)
    findings: list[DriftFinding] = field(default_factory=list)
    unknown: list[DriftUnknown] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    identities: dict[str, dict[str, str]] = field(default_factory=dict)
    devices: int = 0

    def take_device(
        self, device: DeviceConfig, examined: DeviceExamined, known: Mapping[str, Mapping[str, str]]
    ) -> None:
        """Add what one device has."""
        findings, unknown = device_drift(device, examined, known=known.get(device.path))
        self.findings += findings
        self.unknown += unknown
        self.devices += 1
        answered = not examined.unseen and not examined.silent
        if examined.identity or (answered and known.get(device.path)):
            self.identities[device.path] = dict(examined.identity)

    def keep(
        self, before: Sequence[DriftFinding], devices: Mapping[str, DeviceConfig], *, leave: Collection[str]
    ) -> None:
        """Take over what an earlier look found on a part that is not known now: what can't be seen has not gone.

        Args:
            before: Findings of the newest earlier look.
            devices: As they are recorded now: what was found against another record is not taken over.
            leave: Devices to take nothing over of: those that are out of service or being changed.
        """
        unknown = {each.path for each in self.unknown}
        found = {(one.path, one.kind) for one in self.findings}
        kept = [
            one
            for one in before
            if (one.path, one.kind) not in found
            and not unknown.isdisjoint((one.path, one.path.rpartition("/")[0]))
            and _still_recorded(one, devices, leave)
        ]
        self.findings += kept
        if kept:
            many = counted_words(len(kept), "finding")
            self.notes.append(f"{many} of an earlier look: that part can't be looked at now")

    def report(
        self,
        *,
        site: str,
        time_us: int,
        deployment: int,
        running: int = 0,
        ignore: Sequence[Ignored] = (),
        least: str = LOW,
    ) -> DriftReport:
        """The report; `ignore` and `least` leave findings out, and never what is unknown."""
        kept, ignored = chosen(self.findings, ignore=ignore, least=least)
        notes = list(self.notes)
        if running:
            notes.insert(0, f"deployment {running} is in flight: what it changes is no drift and was left out")
        return DriftReport(
            site=site,
            time=time_us,
            deployment=deployment,
            running=running,
            planes=self.planes,
            devices=self.devices,
            findings=kept,
            unknown=sorted(self.unknown, key=lambda one: (one.path, one.plane)),
            ignored=ignored,
            counts=counted(kept),
            notes=notes,
            identities=self.identities,
        )


def _still_recorded(one: DriftFinding, devices: Mapping[str, DeviceConfig], leave: Collection[str]) -> bool:
    """Whether a finding is about what is recorded now."""
    if one.plane == "observed" and one.kind in ("gateway-behind", "rights-behind"):
        return True
    path, _, name = one.path.rpartition("/")
    if one.path in devices:
        return one.path not in leave
    device = devices.get(path)
    if device is None or path in leave or name not in device.tags:
        return False
    tag = device.tags[name]
    if one.kind == "read-only":
        return tag.writable
    return bool(one.recorded == (tag.type if one.kind == "type-changed" else tag.address))


def askable(
    devices: Iterable[DeviceConfig], *, changing: Collection[str] = (), paused: Mapping[str, str] | None = None
) -> tuple[dict[str, list[DeviceConfig]], list[DriftUnknown]]:
    """The devices to ask, by gateway, and those that can't be asked, with the reason.

    External devices and those without an enabled address have nothing to ask. A device that a deployment in flight
    changes is left out.
    """
    asked: dict[str, list[DeviceConfig]] = {}
    unknown: list[DriftUnknown] = []
    for device in devices:
        points = any(tag.address and tag.enabled for tag in device.tags.values())
        if not device.gateway or not device.enabled or not points or f"device.{device.path}" in changing:
            continue
        if paused and device.path in paused:
            why = f"it is out of service: {paused[device.path]}"
            unknown.append(DriftUnknown(path=device.path, plane="device", why=why))
            continue
        asked.setdefault(device.gateway, []).append(device)
    return asked, unknown


def exit_of(report: DriftReport) -> int:
    """2 with drift, 6 when a part is unknown, else 0."""
    if report.findings:
        return Exit.CHANGES
    return Exit.OUTSIDE if report.unknown else Exit.OK
