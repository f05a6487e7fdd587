"""Whether a device runs the document that is recorded: what the record and the gateway's health say, side by side. Pure.

See docs/decisions/0071.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from msgspec import UNSET

from nexus_cli.runtime.web.site_view import DeviceView, SiteView
from nexus_cli.wire.gateway_health import MOST_NAMED, GatewayHealth

Document = Literal["recorded", "another", "absent", "unknown"]
"""What a device runs: the recorded document, another one, or none; `unknown` when its gateway does not say."""


def document_of(device: DeviceView, health: GatewayHealth | None) -> Document:
    """What a device runs, by its gateway's newest health; None is a gateway that has not reported."""
    if not device.gateway or not device.mark or health is None or health.state != "running" or health.runs is UNSET:
        return "unknown"
    found = health.runs.get(device.path)
    if found is not None:
        return "recorded" if found == device.mark else "another"
    left_out = len(health.runs) >= MOST_NAMED and device.path > next(reversed(health.runs))
    return "unknown" if left_out else "absent"


def differing(view: SiteView, gateways: Mapping[str, GatewayHealth]) -> Iterator[str]:
    """A sentence for each gateway that has taken up the newest deployment and runs something else."""
    for name, health in sorted(gateways.items()):
        if health.state != "running" or health.deployment != view.number or health.runs is UNSET:
            continue
        mine = (each for each in view.devices.values() if each.gateway == name)
        wrong = sum(document_of(each, health) in ("another", "absent") for each in mine)
        if wrong:
            yield f"gateway {name}: {wrong} {'device does' if wrong == 1 else 'devices do'} not run as recorded"
        others = sum(path not in view.devices or view.devices[path].gateway != name for path in health.runs)
        if others:
            yield f"gateway {name} runs {others} {'device that is' if others == 1 else 'devices that are'} not recorded for it"
