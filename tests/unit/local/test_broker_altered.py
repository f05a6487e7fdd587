"""Rules and passwords of the local Mosquitto that somebody changed by hand: seen, named, and not taken for ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus_cli.access.grants import Grant
from nexus_cli.access.grants_file import Wanted, altered_by_hand, in_force, is_asked, mark_applied
from nexus_cli.apply.rights import Rights
from nexus_cli.local.broker_altered import AlteredWatch
from nexus_cli.local.broker_mosquitto import LocalMosquitto

WANTED = Wanted((Grant(principal="vera", action="subscribe", filter="acme/chicago/#", why="role viewer"),))
PASSWORDS = {"vera": "a password"}


class Broker:
    """The files of a broker that runs, and how often it was asked to read them again."""

    def __init__(self, home: Path) -> None:
        self.home, self.folder, self.reloads = home, home / "mosquitto", 0
        self.files = LocalMosquitto(home)
        self.folder.mkdir()
        self.watch = AlteredWatch(home)
        self.write()
        self.watch.touched()

    def write(self) -> None:
        WANTED.write(self.home)
        self.files.write_access(WANTED, PASSWORDS)
        mark_applied(self.home, WANTED.digest)

    def look(self) -> str:
        if self.watch.touched():
            self.watch.look(WANTED, PASSWORDS, reload=self.reload)
        return in_force(self.home)

    def reload(self) -> None:
        self.reloads += 1


@pytest.fixture
def broker(tmp_path: Path) -> Broker:
    return Broker(tmp_path)


def test_what_nexus_writes_is_not_altered(broker: Broker) -> None:
    broker.write()
    broker.watch._seen = ()
    assert broker.look() == WANTED.digest
    assert broker.reloads == 0


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("acl", lambda text: text + b"\nuser vera\ntopic readwrite #\n"),
        ("acl", lambda text: b""),
        ("acl", lambda text: b"\xff\xfe\x00"),
        ("passwords", lambda text: text + b"eve:$7$1000$AAAAAAAAAAAAAAAA$BBBB\n"),
        ("passwords", lambda text: text.replace(b"vera:", b"eve:")),
    ],
)
def test_a_changed_file_is_named_and_written_again_when_asked(broker: Broker, name: str, change: object) -> None:
    file = broker.folder / name
    good = file.read_bytes()
    assert callable(change)
    file.write_bytes(change(good))
    assert altered_by_hand(broker.look()) == name
    assert not is_asked(broker.home, WANTED), "control writes again, although it asked for the same"
    broker.write()
    assert broker.look() == WANTED.digest
    if name == "acl":
        assert file.read_bytes() == good
    assert [line.partition(b":")[0] for line in file.read_bytes().splitlines()] == [
        line.partition(b":")[0] for line in good.splitlines()
    ]
    assert not broker.files.altered(WANTED, PASSWORDS)


def test_a_removed_file_is_altered_and_one_that_was_put_back_is_read_again(broker: Broker) -> None:
    files = {name: (broker.folder / name).read_bytes() for name in ("acl", "passwords")}
    for name in files:
        (broker.folder / name).unlink()
    assert altered_by_hand(broker.look()) == "acl passwords"
    for name, data in files.items():
        (broker.folder / name).write_bytes(data)
    assert broker.look() == WANTED.digest
    assert broker.reloads == 1, "the broker may have read the others meanwhile"


async def test_control_names_what_is_altered(tmp_path: Path) -> None:
    rights = Rights(tmp_path, enterprise="acme", site="chicago")
    assert rights.difference() == "", "nothing was asked for yet"
    rights.asked = WANTED.digest
    assert rights.difference() == "", "no broker of ours"
    mark_applied(tmp_path, WANTED.digest)
    assert rights.difference() == ""
    mark_applied(tmp_path, "altered acl passwords")
    assert rights.difference() == "acl and passwords of the broker changed by hand"
    mark_applied(tmp_path, "sha256:other")
    assert "others than control asked for" in rights.difference()
