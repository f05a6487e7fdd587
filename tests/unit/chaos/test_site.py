"""The sites of chaos are sites, also after every change that a deployment may make."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from nexus_cli.project.text import load
from tests.chaos.site import SITES, Ports

PORTS = Ports(modbus=15020, modbus_a=15021, modbus_b=15022, opcua_a=14840, opcua_b=14841, s7=15102, ads=15898)


def valid(text: str, folder: Path) -> None:
    """A site without errors."""
    (folder / "site.yaml").write_text(text)
    loaded = load(folder / "site.yaml")
    assert loaded.value is not None, loaded.findings


def test_a_thousand_tags() -> None:
    assert SITES["thousand"](PORTS).tag_count == 1000


@pytest.mark.parametrize("name", sorted(SITES))
def test_no_two_devices_share_a_counter_and_each_change_gives_a_valid_site(name: str, tmp_path: Path) -> None:
    site = SITES[name](PORTS)
    counters = [(device.host, device.unit) for device in site.of_kind("modbus")]
    assert len(set(counters)) == len(counters)
    valid(site.yaml(), tmp_path)
    rng = random.Random(5)
    before = site.yaml()
    for number in range(25):
        what = ("add", "rename", "remove", "poll", "alert")[number % 5]
        note = site.change(what, rng)
        assert note.startswith(what), note
        assert site.yaml() != before, note
        before = site.yaml()
        registers = [place for device in site.of_kind("modbus") for place in sorted(dict(device.counted()).values())]
        assert registers
        valid(before, tmp_path)
    assert site.gone, "what was removed is still known"


def test_what_is_simulated_is_a_site_of_its_own(tmp_path: Path) -> None:
    valid(SITES["demo"](PORTS).yaml("s7", "ads"), tmp_path)
