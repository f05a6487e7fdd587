"""The order in which files of tests begin, so that one run has all of them and both processors always have work.

Tests that compute use a processor all the time, tests of servers and whole plants mostly wait for somebody. Side by side
they fill each other's gaps: at any moment of the run each kind has begun as large a part of its files as the others. Of
a kind, what takes longest begins first: a file that begins last runs alone at the end.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

LONG = {
    "integration/test_demo.py": 300,
    "e2e/test_mock_and_replay.py": 220,
    "contract/test_driver_losses.py": 190,
    "integration/test_alarm_flood.py": 170,
    "integration/test_logins.py": 150,
    "e2e/test_access_secrets.py": 140,
    "e2e/test_signed.py": 140,
    "integration/test_api_roles.py": 130,
    "e2e/test_faults.py": 120,
    "integration/test_discoveries_later.py": 120,
    "e2e/test_pages_plant.py": 110,
    "integration/test_two_sites.py": 110,
    "e2e/test_clock.py": 100,
    "e2e/test_page_plant.py": 100,
    "integration/test_access_push.py": 100,
    "e2e/test_alarm_faults.py": 90,
    "e2e/test_gaps.py": 90,
    "integration/test_historian_locks.py": 90,
    "integration/test_local_runtime.py": 90,
    "integration/test_signed_commands.py": 90,
    "e2e/test_chaos.py": 70,
    "integration/test_retained.py": 70,
    "e2e/test_commands.py": 60,
    "integration/test_discover_via.py": 60,
    "integration/test_door.py": 60,
}
"""Files that take longest, in seconds."""
SECONDS = {"e2e": 8.0, "integration": 1.7, "contract": 1.7}
"""How long a test of a folder takes; one that computes, `COMPUTING_S`."""
COMPUTING_S = 0.07
SLOW_S = 10.0
"""How long a test marked `slow` takes at least."""


def kind_of(file: str) -> str:
    """`plants`, `waiting` or `computing`; the file is relative to `tests`."""
    top = PurePosixPath(file).parts[0]
    return "plants" if top == "e2e" else "waiting" if top in SECONDS else "computing"


def seconds_of(file: str, tests: int, slow: int) -> float:
    """About how long a file takes, for its place only."""
    each = SECONDS.get(PurePosixPath(file).parts[0], COMPUTING_S)
    return LONG.get(file) or (tests - slow) * each + slow * max(each, SLOW_S)


def ordered(files: Iterable[tuple[str, int, int]]) -> list[str]:
    """Files, each with how many tests it has and how many of them are slow, in the order to begin them."""
    by_kind: dict[str, list[tuple[float, str]]] = {}
    for file, tests, slow in files:
        by_kind.setdefault(kind_of(file), []).append((seconds_of(file, tests, slow), file))
    placed: list[tuple[float, float, str]] = []
    for found in by_kind.values():
        whole, begun = sum(seconds for seconds, _ in found), 0.0
        for seconds, file in sorted(found, key=lambda each: (-each[0], each[1])):
            placed.append((begun / whole, -seconds, file))
            begun += seconds
    return [file for *_, file in sorted(placed)]
