"""How many tags of each device are good, and which devices give nothing: why, and since when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice

import numpy as np

from nexus_cli.runtime.gateway.devices.device import Counters, DeviceRuntime
from nexus_cli.runtime.gateway.devices.tag_columns import REASON_OF
from nexus_cli.wire.device_reads import DeviceReads
from nexus_cli.wire.gateway_health import MOST_NAMED, LimitedDevice, SilentDevice
from nexus_cli.wire.sample import Quality

MOST_TAGS = 200
"""Tags of one device that are named."""
UNKNOWN = "UNKNOWN"
"""Of tags that were not read yet."""


def named(found: Sequence[SilentDevice], *, limit: int = MOST_NAMED) -> tuple[list[SilentDevice], int]:
    """The first of the silent devices, and how many were left out."""
    return list(found[:limit]), max(0, len(found) - limit)


def all_silent(devices: Iterable[DeviceRuntime]) -> list[SilentDevice]:
    """The devices that are switched on and give no value that counts, by path."""
    found = [facts for device in devices if (facts := silence(device)) is not None]
    return sorted(found, key=lambda facts: facts.path)


def by_reason(found: Iterable[SilentDevice]) -> dict[str, int]:
    """How many silent devices there are of each reason, the most frequent first."""
    return dict(Counter(facts.reason for facts in found).most_common())


def silence(device: DeviceRuntime) -> SilentDevice | None:
    """The entry of `all_silent` for one device; None when it gives values, is disabled or was not read yet."""
    if not device.config.enabled:
        return None
    table = device.normaliser.table
    chosen = table.read & table.known
    known = int(np.count_nonzero(chosen))
    # Before the first answer or failure a device is not silent: it was not read yet.
    unread = known < int(np.count_nonzero(table.read)) and device.reachable
    if not known or unread or table.quality[chosen].any():
        return None
    causes = Counter(zip(table.reason[chosen].tolist(), table.code[chosen].tolist(), strict=True))
    (number, code), _ = causes.most_common(1)[0]
    reason = REASON_OF[number]
    words = device.trouble[2] if device.trouble[:2] == (reason, code) else ""  # else it is about an earlier time
    return SilentDevice(
        path=device.path,
        reason=reason.value if reason is not None else "",
        code=code,
        detail=words,
        since=int(table.since_us[chosen].max()),
        answers=device.reachable,
    )


def limited(devices: Iterable[DeviceRuntime], *, limit: int = MOST_NAMED) -> dict[str, LimitedDevice]:
    """The effects of the devices' limits, by path: of `limit` devices, with `MOST_TAGS` tags each."""
    found: dict[str, LimitedDevice] = {}
    for device in devices:
        if (device.lacking or device.limits) and len(found) < limit:
            polled = sorted(device.lacking)
            found[device.path] = LimitedDevice(
                polled=polled[:MOST_TAGS], count=len(polled), why="; ".join(device.limits)
            )
    return found


def reads_of(devices: Iterable[DeviceRuntime], *, limit: int = MOST_NAMED) -> dict[str, DeviceReads]:
    """How `limit` devices are read, by path; those that are switched off are left out."""
    on = (device for device in devices if device.config.enabled)
    return {device.path: _reads(device.counters) for device in islice(on, limit)}


def _reads(counters: Counters) -> DeviceReads:
    return DeviceReads(
        polls=counters.cycles,
        missed=counters.missed,
        skipped=counters.skipped,
        errors=counters.errors,
        answered_s=counters.answered_us // 1_000_000,
        read_ms=round(counters.read_ms, 1),
        kinds=dict(counters.kinds),
    )


def tags_by_quality(devices: Iterable[DeviceRuntime]) -> dict[str, int]:
    """Tags that are switched on, by the quality of their newest sample; `UNKNOWN` before the first."""
    counts = {"GOOD": 0, "UNCERTAIN": 0, "BAD": 0, UNKNOWN: 0}
    for device in devices:
        if device.config.enabled:
            table = device.normaliser.table
            known = table.on & table.known
            counts[UNKNOWN] += int(np.count_nonzero(table.on)) - int(np.count_nonzero(known))
            for quality in Quality:
                counts[quality.name] += int(np.count_nonzero(known & (table.quality == quality)))
    return counts
