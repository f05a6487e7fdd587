"""Rights of one and of two states, second accounts, and when they change by themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nexus_cli.access.grants import principals
from nexus_cli.access.grants_file import APPLIED_FILE, mark_applied, read_wanted
from nexus_cli.access.passwords import Hashes
from nexus_cli.access.people import Moment
from nexus_cli.apply.rights import Rights, RightsGiven, after_and_before
from nexus_cli.diagnostics.errors import NexusError

NOW_US = 1_700_000_000_000_000
DEVICE = {"path": "a/l/press", "protocol": "external", "link": "", "gateway": "", "connection": {}}
DEVICE["tags"] = {"force": {"type": "float64", "published_type": "float64"}}  # type: ignore[assignment]
BASE: dict[str, Any] = {
    "site": {"enterprise": "e", "site": "s"},
    "device.a/l/press": DEVICE,
    "role.viewer": {"read": ["a/**"]},
    "role.setter": {"write": ["a/l/press/force"]},
}


def state(**users: Any) -> dict[str, Any]:
    return {**BASE, **{f"user.{name}": value for name, value in users.items()}}


def hashes(name: str) -> Hashes:
    return Hashes(argon2id="", sha512=name, sha256=name)


class Given:
    """What is on record beside the site file."""

    def __init__(self) -> None:
        self.now = RightsGiven(when=Moment(at_us=NOW_US))

    async def __call__(self, _states: object) -> RightsGiven:
        return self.now


@pytest.fixture
def given() -> Given:
    return Given()


@pytest.fixture
def rights(tmp_path: Path, given: Given) -> Rights:
    return Rights(tmp_path, enterprise="e", site="s", given=given)


def asked(home: Path) -> set[tuple[str, str, str]]:
    wanted = read_wanted(home)
    assert wanted is not None
    people = [one for one in wanted.grants if not one.principal.startswith("nexus.")]
    return {(one.principal, one.action, one.filter) for one in people if not one.filter.startswith("_nexus/")}


async def test_old_and_new_together_then_the_new_ones_alone(rights: Rights, tmp_path: Path) -> None:
    before, after = state(anna={"roles": ["setter"]}), state(anna={"roles": ["viewer"]})
    await rights.hold(after, before)
    assert asked(tmp_path) == {("anna", "publish", "e/s/a/l/press/force"), ("anna", "subscribe", "e/s/a/#")}

    async def recorded() -> dict[str, Any]:
        raise AssertionError("not while a deployment holds both")

    await rights.again(recorded)
    assert len(asked(tmp_path)) == 2
    await rights.hold(after)
    assert asked(tmp_path) == {("anna", "subscribe", "e/s/a/#")}


async def test_a_second_account_has_the_same_rights_and_its_own_password(
    rights: Rights, given: Given, tmp_path: Path
) -> None:
    people = {("anna", "a"): hashes("one"), ("anna", "b"): hashes("two"), ("gone", "b"): hashes("three")}
    given.now = RightsGiven(when=Moment(at_us=NOW_US), people=people)
    await rights.hold(state(anna={"roles": ["viewer"]}))
    assert asked(tmp_path) == {("anna", "subscribe", "e/s/a/#"), ("anna.b", "subscribe", "e/s/a/#")}
    wanted = read_wanted(tmp_path)
    assert wanted is not None
    assert {name: one.sha512 for name, one in wanted.people.items()} == {
        "anna": "one",
        "anna.b": "two",
    }
    assert "gone.b" not in principals(wanted.grants), "an account without rights is none at the broker"


async def test_the_next_change_is_the_earliest_of_a_period_and_a_password(rights: Rights, given: Given) -> None:
    await rights.hold(state(anna={"roles": ["viewer"]}))
    assert (rights.next_change_us, rights.of_us, rights.written.is_set()) == (None, NOW_US, True)
    until = state(anna={"roles": ["viewer"], "valid_until": "2023-11-14T23:00:00+00:00"})
    await rights.hold(until)
    assert rights.next_change_us == 1_700_002_800_000_000
    given.now = RightsGiven(when=Moment(at_us=NOW_US), ends_us=NOW_US + 5)
    await rights.hold(until)
    assert rights.next_change_us == NOW_US + 5
    given.now = RightsGiven(when=Moment(at_us=NOW_US, elevated={"anna": NOW_US + 3}), ends_us=NOW_US + 5)
    await rights.hold(until)
    assert rights.next_change_us == NOW_US + 3


async def test_nothing_is_recorded_nothing_is_asked(rights: Rights, tmp_path: Path) -> None:
    async def recorded() -> None:
        return None

    await rights.again(recorded)
    assert list(tmp_path.iterdir()) == []


async def test_a_broker_that_does_not_take_them_fails_the_step(
    rights: Rights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_home: Path, _digest: str) -> bool:
        return False

    monkeypatch.setattr("nexus_cli.apply.rights.wait_in_force", never)
    with pytest.raises(NexusError) as raised:
        await rights.hold(state(anna={"roles": ["viewer"]}))
    assert raised.value.code == "NX5009"
    monkeypatch.undo()
    wanted = read_wanted(tmp_path)
    assert wanted is not None
    mark_applied(tmp_path, wanted.digest)
    stat = (tmp_path / "access.json").stat()
    await rights.hold(state(anna={"roles": ["viewer"]}))
    assert (tmp_path / "access.json").stat().st_ino == stat.st_ino, "the same, and in force"
    (tmp_path / APPLIED_FILE).unlink()


def test_the_states_of_a_deployment() -> None:
    kept, changed = {"a": {"x": 1}}, {"b": {"y": 2}, "c": None}
    assert after_and_before(kept, changed=changed, before={"c": {"z": 3}}) == (
        {"a": {"x": 1}, "b": {"y": 2}},
        {"a": {"x": 1}, "c": {"z": 3}},
    )
