"""Old paths that are kept for a while, as resources."""

from __future__ import annotations

from typing import Any

import pytest

from nexus_cli.model.aliases import alias_resources
from nexus_cli.model.site import Moved, Site

DEVICES = {
    "hall/line-2/press": {"gateway": "gw-2"},
    "hall/line-2/saw": {"gateway": "gw-1"},
    "hall/line-3/saw": {"gateway": "gw-3"},
    "hall/line-2/scale": {},
}


def resources(*entries: dict[str, Any]) -> dict[str, Any]:
    site = Site(nexus=1, enterprise="acme", site="plant", moved=[Moved(**entry) for entry in entries])
    return alias_resources(site, DEVICES)


def entry(old: str, new: str, keep: str | None = None) -> dict[str, Any]:
    return {"from": old, "to": new, **({"keep_old_for": keep} if keep else {})}


@pytest.mark.parametrize(
    ("target", "gateways"),
    [
        ("hall", ["gw-1", "gw-2", "gw-3"]),
        ("hall/line-2", ["gw-1", "gw-2"]),
        ("hall/line-2/saw", ["gw-1"]),
        ("hall/line-2/saw/speed", ["gw-1"]),
        ("hall/line-2/scale", None),
    ],
)
def test_who_publishes_is_who_reads_the_devices(target: str, gateways: list[str] | None) -> None:
    old = "/".join(["old", "b", "c", "d"][: target.count("/") + 1])
    found = resources(entry(old, target, "1d"))[f"alias.{old}"]
    assert found == {"to": target, "for_ms": 86_400_000, **({"gateways": gateways} if gateways else {})}


def test_a_chain_ends_where_its_last_entry_leads_and_an_entry_without_the_key_is_none() -> None:
    found = resources(entry("hall/a", "hall/b", "30d"), entry("hall/b", "hall/line-2"))
    assert {name: value["to"] for name, value in found.items()} == {"alias.hall/a": "hall/line-2"}
    deeper = resources(entry("hall/b/saw", "hall/c/saw", "30d"), entry("hall/c", "hall/line-2"))
    assert deeper["alias.hall/b/saw"]["to"] == "hall/line-2/saw"
