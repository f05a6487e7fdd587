"""Our historian and Telegraf store the same single messages in PostgreSQL, in turns: rate, CPU, and what is lost.

Each feed is as fast as the broker takes it, and the broker holds what a reader has not taken yet (its queue has no
bound here). Telegraf acknowledges what it has written and puts the topic into each row of a table without a key; our
rows have a key (series, time), and a row that came twice is one row.
"""

from __future__ import annotations

import contextlib
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil

from tests.benchmarks import telegraf
from tests.benchmarks.figures import Figure
from tests.benchmarks.message_feeder import TAGS, Feeder, device, feeding, tag
from tests.benchmarks.peers_polling import ROWS, UNBOUND
from tests.benchmarks.processes import cpu_s, parts_of
from tests.e2e.runtime import Runtime

TOPICS, COUNT, ROUNDS = 2_000, 200_000, 2
OURS, THEIRS = "historian", "telegraf"
SITE = "bench/messages"
LINE = f"{SITE}/hall/line"
"""Same length as Telegraf's, so that the messages are equally long."""
PREFIXES = {OURS: LINE, THEIRS: "telegraf".ljust(len(LINE), "x")}
TABLES = {OURS: ROWS, THEIRS: "SELECT count(*) FROM telegraf"}
LOOK_S, GIVE_UP_S = 0.1, 6.0


class Stored(NamedTuple):
    """One feed: messages a second from the first publish to the last row, CPU a row by part (µs), rows missing."""

    rate: float
    cpu_us: float
    database_us: float
    lost: int


def site_text() -> str:
    """Everything that is fed, declared."""
    tags = "".join(f"      {tag(at)}: {{type: float64}}\n" for at in range(TAGS))
    devices = "".join(f"          {device(at)}: {{template: other}}\n" for at in range(TOPICS // TAGS))
    enterprise, _, site = SITE.partition("/")
    return (
        f"nexus: 1\nenterprise: {enterprise}\nsite: {site}\ndefaults: {{retention: process}}\n"
        f"retention: {{process: {{keep: 30d}}}}\ntemplates:\n  other:\n    protocol: external\n    tags:\n{tags}"
        f"areas:\n  hall:\n    lines:\n      line:\n        devices:\n{devices}"
    )


class Stores:
    """Both readers on one broker and one database, each with a feeder of its own."""

    def __init__(self, runtime: Runtime, theirs: psutil.Process, feeders: dict[str, Feeder]) -> None:
        """All of them run."""
        self.runtime, self.feeders = runtime, feeders
        self.parts = {**parts_of(runtime), THEIRS: theirs}

    def rows(self, side: str) -> int:
        """Committed so far."""
        return int(self.runtime.query(TABLES[side])[0][0])

    def store(self, side: str, count: int) -> Stored:
        """Feed one side, and wait for its last row."""
        rows, cpu = self.rows(side), cpu_s(self.parts)
        fed = self.feeders[side].feed(count)
        last, seen = time.monotonic(), 0
        while seen < count and time.monotonic() - last < GIVE_UP_S:
            time.sleep(LOOK_S)
            if (now := self.rows(side) - rows) != seen:
                seen, last = now, time.monotonic()
        used = cpu_s(self.parts)
        spent = {name: (used[name] - cpu[name]) / max(seen, 1) * 1e6 for name in self.parts}
        return Stored(seen / (last - fed.began_s), spent[side], spent["database"], count - seen)


@contextlib.contextmanager
def _stores(program: Path) -> Iterator[Stores]:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        runtime = Runtime(folder, site=SITE, gateways=())
        runtime.broker.options = UNBOUND
        (folder / "site.yaml").write_text(site_text())
        stack.callback(runtime.stop)
        runtime.start()
        runtime.apply()
        database = runtime.database.url.replace("postgresql://nexus@", f"postgres://nexus:{runtime.database.password}@")
        config = telegraf.agent(batch=5000, flush="200ms") + telegraf.consuming(
            runtime.broker.url, [f"{PREFIXES[THEIRS]}/#"], database=f"{database}?sslmode=disable"
        )
        process = stack.enter_context(telegraf.running(program, config, folder / "telegraf"))
        feeders = {
            side: stack.enter_context(feeding(runtime.broker.port, prefix, topics=TOPICS))
            for side, prefix in PREFIXES.items()
        }
        yield Stores(runtime, psutil.Process(process.pid), feeders)


def compare(program: Path) -> list[Figure]:
    """Rounds in turns; the first of each, one message a topic, is not measured."""
    found: dict[str, list[Stored]] = {OURS: [], THEIRS: []}
    with _stores(program) as stores:
        time.sleep(2.0)  # subscribed
        for side in found:
            _begin(stores, side)
        for _ in range(ROUNDS):
            for side, results in found.items():
                results.append(stores.store(side, COUNT))
    ours, theirs = found[OURS], found[THEIRS]
    lost, their_loss = (sum(one.lost for one in side) for side in (ours, theirs))
    rates = ", ".join(f"{one.rate:,.0f}" for one in ours) + " beside " + ", ".join(f"{one.rate:,.0f}" for one in theirs)
    what = f"{COUNT:,} messages on {TOPICS:,} topics"
    database = [statistics.median(one.database_us for one in side) for side in (ours, theirs)]
    return [
        Figure(
            name=f"{what} to rows",
            value=statistics.median(one.rate for one in ours),
            unit="msg/s",
            limit=statistics.median(one.rate for one in theirs),
            limit_name="Telegraf",
            ratio_at_least=1.0,
            note=rates,
        ),
        Figure(
            name=f"{what}: CPU of the reader",
            value=statistics.median(one.cpu_us for one in ours),
            unit="µs/row",
            limit=statistics.median(one.cpu_us for one in theirs),
            limit_name="Telegraf",
            ratio_at_most=1.0,
            note=f"PostgreSQL meanwhile {database[0]:.1f} and {database[1]:.1f} µs/row",
        ),
        Figure(
            name=f"{what}: lost",
            value=lost,
            unit="msg",
            at_most=0,
            note=f"of {COUNT * ROUNDS:,}; Telegraf lost {their_loss:,}",
        ),
    ]


def _begin(stores: Stores, side: str) -> None:
    """One message a topic; Telegraf makes its table with the first."""
    stores.feeders[side].feed(TOPICS)
    with contextlib.suppress(Exception):
        stores.rows(side)
    time.sleep(3.0)
