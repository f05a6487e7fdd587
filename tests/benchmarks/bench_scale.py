"""One gateway at its edges: 100,000 tags, and 16 devices of 1,000 tags every 50 ms, over a real Modbus wire.

Broker, control, historian and PostgreSQL run beside it, and every change becomes a committed row. The devices are a
responder that is not ours; what it was asked says how many polls there were.
Run alone: `python -m tests.benchmarks.bench_scale [tags|fast …]`.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.figures import Figure, machine, report
from tests.benchmarks.fleet import Fleet, site_text
from tests.benchmarks.plants import apply_site
from tests.benchmarks.processes import change, cpu_s, gateway_counters, machine_cpu_s, parts_of
from tests.benchmarks.responder import Responder, responding
from tests.benchmarks.sides import Memory, memory
from tests.benchmarks.tally import tallying
from tests.e2e.runtime import Runtime

SITE = "bench/scale"
GATEWAY = "gateway"
SETTLE_S = 10.0
ROWS = "SELECT count(*) FROM nexus.sample"
TAGS = Fleet(protocol="modbus", devices=2_000, tags=50)
FAST = Fleet(protocol="modbus", devices=16, tags=1_000, poll="50ms")
FAST_POLLS_S = 20
"""A second and device."""


class Seen(NamedTuple):
    """What a window showed; rates are a second.

    Attributes:
        took_s: Its length.
        shares: Of a core, by part; the field's own is under `field`, other programs of the machine under `others`.
        rose: Counters of the gateway.
        values, moved: Values that the field gave, and those that were new.
        rows: Committed.
        used: Memory of the gateway at its end.
    """

    took_s: float
    shares: dict[str, float]
    rose: Mapping[str, float]
    values: float
    moved: float
    rows: float
    used: Memory

    @property
    def own(self) -> float:
        """Cores of all parts of ours."""
        return sum(share for name, share in self.shares.items() if name not in ("field", "others"))


@contextlib.contextmanager
def plant(fleet: Fleet) -> Iterator[tuple[Runtime, Responder]]:
    """A runtime with the fleet applied; its values do not change yet."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        field = stack.enter_context(responding(fleet, readers=1))
        runtime = Runtime(folder, site=SITE)
        runtime.broker.options = ("max_queued_messages 200000",)
        enterprise, _, site = SITE.partition("/")
        (folder / "site.yaml").write_text(site_text(fleet, port=field.ports[0], enterprise=enterprise, site=site))
        stack.callback(runtime.stop)
        runtime.start()
        apply_site(runtime)
        yield runtime, field


def watch(runtime: Runtime, field: Responder, *, seconds: float) -> Seen:
    """One window."""
    parts = parts_of(runtime)
    rows, counted = _rows(runtime), time.monotonic()
    before, given, cpu, began = gateway_counters(runtime), field.facts(), cpu_s(parts), time.monotonic()
    machine_before = machine_cpu_s()
    time.sleep(seconds)
    everything = (machine_cpu_s() - machine_before) / seconds
    used, now, after, cpu_after = memory(parts[GATEWAY]), field.facts(), gateway_counters(runtime), cpu_s(parts)
    took = time.monotonic() - began
    stored = (_rows(runtime) - rows) / (time.monotonic() - counted)
    shares = {name: (cpu_after[name] - cpu[name]) / took for name in parts}
    shares["field"] = (now.cpu_s - given.cpu_s) / took
    shares["others"] = max(everything - sum(shares.values()), 0.0)
    old, new = given.given[0], now.given[0]
    return Seen(
        took,
        shares,
        change(before, after),
        (new.values - old.values) / took,
        (new.moved - old.moved) / took,
        stored,
        used,
    )


def _rows(runtime: Runtime) -> int:
    return int(runtime.query(ROWS)[0][0])


def _parts(seen: Seen) -> str:
    return ", ".join(
        f"{name} {seen.shares[name]:.0%}" for name in sorted(seen.shares, key=lambda one: -seen.shares[one])
    )


def _polls(seen: Seen, *, due: float) -> list[Figure]:
    """Polls missed and skipped, as the gateway counts them, and those that the field was never asked for."""
    named = {"missed": "nexus_link_missed_cycles_total", "skipped": "nexus_link_skipped_cycles_total"}
    cycles = sum(seen.rose.get(f"nexus_link_{kind}cycles_total", 0.0) for kind in ("", "missed_", "skipped_"))
    return [
        *(
            Figure(name=f"  polls {how}", value=seen.rose[name], unit="polls", at_most=0, note=f"of {cycles:,.0f}")
            for how, name in named.items()
            if name in seen.rose
        ),
        Figure(
            name="  values that the field was asked for",
            value=seen.values,
            unit="tags/s",
            limit=due,
            limit_name="due",
            ratio_at_least=0.99,
        ),
    ]


def many_tags(*, seconds: float = 20.0) -> list[Figure]:
    """100,000 tags on 2,000 links at 1 s: unchanged values, then values that all move."""
    due = float(TAGS.values)
    with plant(TAGS) as (runtime, field):
        field.wait_read(TAGS)
        time.sleep(SETTLE_S)
        with tallying(runtime.broker.port, [f"{SITE}/#"]) as tally:
            still = watch(runtime, field, seconds=seconds)
            field.move(True)
            time.sleep(SETTLE_S)
            tally.take()
            moving = watch(runtime, field, seconds=seconds)
            counts = tally.take()
        field.move(False)
    figures = []
    for how, seen in (("values unchanged", still), ("all moving", moving)):
        figures += [
            Figure(
                name=f"gateway of {TAGS.values:,} tags, {how}: CPU",
                value=seen.shares[GATEWAY] * 100,
                unit="% of one",
                note=_parts(seen),
            ),
            Figure(name="  memory", value=seen.used.pss, unit="MiB PSS", note=f"resident {seen.used.rss:.0f} MiB"),
            *_polls(seen, due=due),
        ]
    return [
        *figures,
        Figure(name="  rows stored", value=moving.rows, unit="rows/s", limit=moving.moved, limit_name="values changed"),
        Figure(
            name="  live messages at a subscriber",
            value=counts.messages / moving.took_s,
            unit="msg/s",
            limit=moving.moved,
            limit_name="values changed",
        ),
    ]


def fast_polls(*, seconds: float = 20.0) -> list[Figure]:
    """16 devices of 1,000 tags every 50 ms, all moving: 320,000 values a second, if two cores can."""
    due = float(FAST.values * FAST_POLLS_S)
    with plant(FAST) as (runtime, field):
        field.move(True)
        field.wait_read(FAST)
        time.sleep(SETTLE_S)
        seen = watch(runtime, field, seconds=seconds)
        field.move(False)
    return [
        Figure(
            name=f"{FAST.devices} devices x {FAST.tags:,} tags every {FAST.poll}: committed rows",
            value=seen.rows,
            unit="rows/s",
            limit=seen.moved,
            limit_name="values changed",
            note=_parts(seen),
        ),
        Figure(
            name="  changing tags per core of the gateway",
            value=seen.rose.get("nexus_gateway_samples_total", 0.0) / seen.took_s / max(seen.shares[GATEWAY], 1e-3),
            unit="tags/s",
            note=f"{seen.shares[GATEWAY]:.0%} of a core",
        ),
        Figure(
            name="  rows per core of all parts, device to commit",
            value=seen.rows / max(seen.own, 1e-3),
            unit="rows/s",
            note=f"{seen.own:.2f} cores without the field",
        ),
        *_polls(seen, due=due),
    ]


PARTS: dict[str, Callable[[], list[Figure]]] = {"tags": many_tags, "fast": fast_polls}


def run() -> list[Figure]:
    """Both."""
    return [figure for part in PARTS.values() for figure in part()]


if __name__ == "__main__":
    print(machine())
    for name in sys.argv[1:] or PARTS:
        print(report(PARTS[name]()), flush=True)
