"""A gateway's answer to a deployment: per device at once, and within ten seconds the verification of its tags."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from nexus_cli.runtime.gateway.configuration import Configuration, Difference
from nexus_cli.runtime.gateway.devices.census import silence
from nexus_cli.runtime.gateway.devices.device import DeviceRuntime
from nexus_cli.wire.configuration import DeviceSeen, Observed, Verification, encode

VERIFY_S = 10.0
"""How long the tags of a changed device may take to show what they are, in seconds."""


def answer(
    configuration: Configuration,
    difference: Difference,
    failed: Mapping[str, str],
    *,
    time_us: int,
    instance: str,
    verification: Mapping[str, Verification] | None = None,
) -> bytes:
    """The payload of `observed`.

    Args:
        configuration: What runs.
        difference: What the deployment changed here.
        failed: Detail by path of devices that could not be taken up.
        time_us: Now, µs since 1970 UTC.
        instance: The process that answers.
        verification: From `verify`, once it is known.
    """
    devices = {
        path: DeviceSeen(digest=configuration.devices[path].digest, state="running")
        for path in difference.changed
        if path in configuration.devices
    }
    for path, detail in {**difference.failed, **failed}.items():
        known = configuration.devices.get(path)
        devices[path] = DeviceSeen(digest=known.digest if known else "", state="failed", detail=detail)
    return encode(
        Observed(
            deployment=configuration.deployment,
            digest=configuration.digest,
            time=time_us,
            instance=instance,
            devices=devices,
            removed=difference.removed,
            verification=msgspec.UNSET if verification is None else dict(verification),
        )
    )


def all_known(devices: Iterable[DeviceRuntime]) -> bool:
    """True when every tag of these devices has had its first value or failure."""
    return all(
        bool(known)
        for device in devices
        for config, known in zip(device.normaliser.table.configs, device.normaliser.table.times, strict=True)
        if config.address or config.expr
    )


def verify(devices: Iterable[DeviceRuntime], *, paused: Callable[[str], str]) -> dict[str, Verification]:
    """Good and bad tags, reachability, and the reason where no tag is good, by device path.

    `paused` says why a device is out of service for a while; "" when it is not.
    """
    found: dict[str, Verification] = {}
    for device in devices:
        good, bad = device.tally()
        trouble = silence(device)
        why = paused(device.path) or ("" if trouble is None else trouble.detail or trouble.reason)
        found[device.path] = Verification(
            good=good,
            bad=bad,
            reachable=device.reachable,
            detail=why or msgspec.UNSET,
        )
    return found
