"""Rights on 41,000 tags: what a change gives and takes, and who may read all of them; processor time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from nexus_cli.access.gains import gains
from nexus_cli.access.people import ANY_TIME
from nexus_cli.access.questions import Book, ask
from nexus_cli.access.subjects import Subject, subject_of
from nexus_cli.apply.rights import Rights
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.project.text import load
from tests.benchmarks.figures import Figure

SITE = Path(__file__).parents[2] / "sites" / "plant-1000"
ROLES, USERS = 10, 50


def _site(plain: Snapshot, *, read: list[str]) -> Snapshot:
    """Ten roles of five users each; half of the roles read what is given, too."""
    found = dict(plain.resources)
    areas = sorted({path.partition("/")[0] for path, _ in plain.of_kind("device")})
    for number in range(ROLES):
        mine = [f"{areas[number % len(areas)]}/**"]
        found[f"role.r{number}"] = {"read": mine + read * (number < ROLES // 2), "write": mine}
    for number in range(USERS):
        found[f"user.u{number}"] = {"roles": [f"r{number % ROLES}"]}
    return Snapshot.of(plain.enterprise, plain.site, found, plain.digests)


def _timed(what: Callable[[], object]) -> float:
    began = time.process_time()
    what()
    return time.process_time() - began


def _written(plain: Snapshot) -> tuple[float, float]:
    """Seconds to bring the rights of a site to its file, and to find that nothing has changed since."""
    with TemporaryDirectory() as folder:
        rights = Rights(Path(folder), enterprise=plain.enterprise, site=plain.site)
        first = _timed(lambda: asyncio.run(rights.hold(plain.resources)))
        file = Path(folder) / "access.json"
        before = file.stat().st_mtime_ns
        again = _timed(lambda: asyncio.run(rights.hold(plain.resources)))
        if file.stat().st_mtime_ns != before:
            raise RuntimeError("the same rights were written again")
        return first, again


def run() -> list[Figure]:
    """A role that half of the users have reads the whole site."""
    began = time.process_time()
    loaded = load(SITE).value
    load_s = time.process_time() - began
    if loaded is None:
        raise RuntimeError("the site of the benchmark has errors")
    before, after = _site(loaded.snapshot, read=[]), _site(loaded.snapshot, read=["**"])
    gained = sum(len(each.gained) for each in gains(before, after))
    book = Book(after, ANY_TIME)
    subject = subject_of(after, "read", "**")
    if not gained or not isinstance(subject, Subject):
        raise RuntimeError("nobody gains a right")

    def everybody() -> None:
        for holder in book.holders:
            ask(book, holder, "read", subject)

    written = _written(after)
    figures = {
        f"gains of {USERS} users, 41,000 tags": (_timed(lambda: gains(before, after)), f"{gained:,} rights on tags"),
        "  who may read each of them": (_timed(everybody), ""),
        "rights of one site to the broker's file (control)": (
            written[0],
            "at a deployment, a period's end, an elevation, a new password",
        ),
        "  the same once more: nothing to write": (written[1], ""),
    }
    return [
        Figure(name=name, value=value, unit="s", limit=load_s, limit_name="reading the site", note=note)
        for name, (value, note) in figures.items()
    ]
