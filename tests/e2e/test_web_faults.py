"""Kill what web needs, and web itself, while clients follow: each says what is missing, heals, and nothing that was asked for is lost.

What the clients were given is compared with the rows of the window. Parts stay away for NEXUS_FAULT_SECONDS (default 3), and
NEXUS_FAULT_DEVICES units are polled ten times a second (default 5).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.web_followers import I3xFollower, Key, now_ms
from tests.e2e.web_plant import STEADY, WEBS, WebPlant
from tests.waiting import PATIENCE_S, wait_until

AWAY_S = float(os.environ.get("NEXUS_FAULT_SECONDS", "3"))
DEVICES = int(os.environ.get("NEXUS_FAULT_DEVICES", "5"))
FROZEN_S = 20.0
UNREAD_MS = 3_000
"""A client that reads all the time has read what was written so long ago, on a busy machine too."""
pytestmark = [pytest.mark.slow, pytest.mark.needs_broker, pytest.mark.needs_database]


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebPlant]:
    running = WebPlant(tmp_path_factory.mktemp("plant"), devices=DEVICES)
    try:
        running.start()
        yield running
    finally:
        running.stop()


class Window:
    """What happens from its beginning to `close`."""

    def __init__(self, plant: WebPlant) -> None:
        self.plant, self.began = plant, now_ms()
        self.missing = len(plant.syncing.gaps)
        self.replaced = plant.replaced_values()

    def close(self) -> dict[Key, object]:
        """The rows up to now, once the historian has them: rows of later are there and no frame is missing before them."""
        plant, ends = self.plant, now_ms()
        wait_until(
            lambda: len({path for path, _ in plant.stored(ends, ends + 10**9)} & {*plant.tags}) == len(plant.tags),
            "rows of after the window",
        )
        wait_until(plant.complete, "every frame of the gateway")
        return dict(plant.stored(self.began, ends))


def check_clients(plant: WebPlant, window: Window, steady: int, *, whole: bool = False) -> None:
    """Every client has what it asked for.

    A busy gateway replaces live values by newer ones; those do not come over i3X (docs/i3x.md), and it counts them. With `whole` the
    history gives them too: the broker was away.
    """
    rows = window.close()
    allowed = 0 if whole else plant.replaced_values() - window.replaced
    assert {path for path, _ in rows} >= {*plant.tags}

    def in_flight(follower: I3xFollower, ms: int) -> bool:
        """A stream is acknowledged a moment after it is given (decision 0078): what its client had not read when it was cut may be gone."""
        return any(0 <= cut - ms < UNREAD_MS for cut in follower.cuts)

    def lacks(follower: I3xFollower) -> list[Key]:
        return sorted(key for key in rows if not follower.got[key] and not in_flight(follower, key[1]))

    for name, follower in (("asked by number", plant.syncing), ("streamed", plant.streaming)):
        wait_until(
            lambda follower=follower: len(lacks(follower)) <= allowed, f"each value {name}: {lacks(follower)[:5]}"
        )
    assert [key for key in rows if plant.syncing.got[key] > 1] == []
    assert plant.syncing.broken == [] and plant.syncing.gaps == []
    newest = {path: max(ms for each, ms in rows if each == path) for path, _ in rows}
    wait_until(
        lambda: all(plant.socket.newest[path][3] >= ms * 1000 for path, ms in newest.items()), "the newest of each tag"
    )
    wait_until(lambda: plant.socket.newest[STEADY][1] == steady, "a value that came while something was away")
    assert plant.socket.backwards == [] and plant.socket.repeated == []
    assert plant.followers.failed() == []


def healed(plant: WebPlant) -> None:
    """Wait until every part says that everything runs."""
    for web in WEBS:
        wait_until(lambda web=web: plant.health(web).get("state") == "up", f"{web}: {plant.health(web)}")
    wait_until(lambda: plant.socket.missing == [] and plant.socket.webs, "nothing is missing")


SAID = {"control": "no control is running", "broker": "the broker is down", "database": "the database is down"}


@pytest.mark.parametrize("part", SAID)
def test_a_part_is_killed(plant: WebPlant, part: str) -> None:
    window, steady = Window(plant), plant.drive.held("fixed") + 1
    plant.socket.said.clear()
    plant.kill_part(part)
    plant.hold(steady)
    for web in WEBS:
        wait_until(
            lambda web=web: any(each.startswith(SAID[part]) for each in plant.health(web).get("problems", ())),
            f"{web} says that {part} is away: {plant.health(web)}",
        )
    wait_until(lambda: plant.socket.missing == [part], "the WebSocket says it")
    time.sleep(AWAY_S)
    plant.start_part(part)
    healed(plant)
    check_clients(plant, window, steady, whole=part == "broker")


def test_web_is_killed(plant: WebPlant) -> None:
    window, steady = Window(plant), plant.drive.held("fixed") + 1
    name = plant.socket.webs[-1]
    plant.kill_part(WEBS[0])
    plant.hold(steady)
    wait_until(lambda: ("web", WEBS[0], "lost") in roles(plant), "the other web says that it is lost")
    time.sleep(AWAY_S)
    plant.start_part(WEBS[0])
    wait_until(lambda: plant.socket.webs[-1] != name, "the client is back")
    healed(plant)
    check_clients(plant, window, steady)


def roles(plant: WebPlant) -> list[tuple[str, str, str]]:
    found = plant.health(WEBS[1]).get("roles", ())
    return [(each["role"], each["name"], each["state"]) for each in found]


def test_web_is_frozen(plant: WebPlant) -> None:
    """The broker may drop what a client does not read; nobody says so to the client."""
    window, steady = Window(plant), plant.drive.held("fixed") + 1
    pid = plant.processes[WEBS[0]].pid
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(FROZEN_S - 5.0)
        plant.hold(steady)  # late: what came before fills the buffers
        time.sleep(5.0)
    finally:
        os.kill(pid, signal.SIGCONT)
    healed(plant)
    check_clients(plant, window, steady)


def test_two_webs_behind_one_name(plant: WebPlant) -> None:
    """From one to the other and back, with a session of the page; the first time the one that is left is killed."""
    user = {"user": "vera", "password": password(plant)}
    base = f"{plant.url}/v1/sites/{plant.site}"
    own = {"origin": plant.url, "x-nexus-csrf": "1"}
    first, second = (plant.ports[web] for web in WEBS)
    with httpx.Client(timeout=PATIENCE_S) as page:
        assert page.post(f"{base}/session", json=user, headers=own).status_code == 200
        for turn, (there, killed) in enumerate([(second, True), (first, False), (second, False), (first, False)]):
            window, steady, webs = Window(plant), plant.drive.held("fixed") + 1, len(plant.socket.webs)
            if killed:
                plant.kill_part(WEBS[0])
            plant.hold(steady)
            plant.followers.do(plant.name.switch(there))
            wait_until(lambda webs=webs: len(plant.socket.webs) > webs, "the client is at the other web")
            assert plant.socket.webs[-1].startswith(WEBS[1] if there == second else WEBS[0])
            with httpx.Client(timeout=PATIENCE_S, cookies=page.cookies) as again:
                found = again.get(f"{base}/session")
                assert found.status_code == 200 and found.json()["user"] == "vera", f"turn {turn}: {found.text}"
            if killed:
                plant.start_part(WEBS[0])
            healed(plant)
            check_clients(plant, window, steady)


def password(plant: WebPlant) -> str:
    import json

    made = json.loads(plant.nexus("access", "rotate", "vera", "--format", "json"))
    found: str = made["passwords"][0]["password"]
    return found
