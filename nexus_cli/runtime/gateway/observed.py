"""What a gateway answers to a deployment: per device at once, and within ten seconds what its tags turned out to be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from nexus_cli.runtime.gateway.configuration import Configuration, Difference
from nexus_cli.runtime.gateway.devices.census import silence
from nexus_cli.runtime.gateway.devices.device import DeviceRuntime

VERIFY_S = 10.0
"""How long the tags of a changed device may take to show what they are, in seconds."""


def answer(
    configuration: Configuration,
    difference: Difference,
    failed: Mapping[str, str],
    *,
    time_us: int,
    instance: str,
    verification: Mapping[str, Any] | None = None,
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
    devices: dict[str, dict[str, str]] = {
        path: {"digest": configuration.devices[path].digest, "state": "running", "detail": ""}
        for path in difference.changed
        if path in configuration.devices
    }
    for path, detail in {**difference.failed, **failed}.items():
        known = configuration.devices.get(path)
        devices[path] = {"digest": known.digest if known else "", "state": "failed", "detail": detail}
    payload: dict[str, Any] = {
        "deployment": configuration.deployment,
        "digest": configuration.digest,
        "time": time_us,
        "instance": instance,
        "devices": devices,
        "removed": difference.removed,
    }
    if verification is not None:
        payload["verification"] = verification
    return orjson.dumps(payload)


def settled(devices: Iterable[DeviceRuntime]) -> bool:
    """True when every tag of these devices has shown what it is."""
    return all(
        state.known
        for device in devices
        for state in device.normaliser.states.values()
        if state.config.address or state.config.expr
    )


def verify(devices: Iterable[DeviceRuntime]) -> dict[str, dict[str, Any]]:
    """Good and bad tags, reachability, and the reason where no tag is good, by device path."""
    found: dict[str, dict[str, Any]] = {}
    for device in devices:
        good, bad = device.tally()
        found[device.path] = {"good": good, "bad": bad, "reachable": device.reachable}
        trouble = silence(device)
        if trouble is not None:
            found[device.path]["detail"] = trouble["detail"] or trouble["reason"]
    return found
