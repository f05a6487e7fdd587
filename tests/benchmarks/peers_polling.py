"""Our gateway and Telegraf on the same devices at the same time: CPU, memory, and what each lost.

Both read the same responder, each through a port of its own, and publish to one broker. Telegraf publishes what it
polled, QoS 1, and forgets it when its buffer is full; ours keeps every change on disk until it is a committed row, and
publishes each changed value on a topic of its own as well.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import psutil

from tests.benchmarks import telegraf
from tests.benchmarks.figures import Figure
from tests.benchmarks.fleet import Fleet, site_text
from tests.benchmarks.opcua_field import subscribed_field
from tests.benchmarks.plants import apply_site
from tests.benchmarks.processes import parts_of
from tests.benchmarks.responder import Responder, responding
from tests.benchmarks.sides import Memory, Window, memory, share, spread, watch
from tests.benchmarks.tally import Tally, tallying
from tests.e2e.runtime import Runtime

GATEWAY, TELEGRAF = "gateway", "telegraf"
SETTLE_S = 6.0
QUIET_S = 2.0
TELEGRAF_TOPICS, OUR_TOPICS = b"telegraf/", b"bench/peers/"
ROWS = "SELECT count(*) FROM nexus.sample"
UNBOUND = ("max_queued_messages 0", "max_inflight_messages 1000")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A comparison: the devices, and what Telegraf makes of one read.

    Attributes:
        title: For the figures.
        fleet: Of these.
        answers_a_metric: Answers of the field that Telegraf makes one message of; without meaning for subscriptions.
    """

    title: str
    fleet: Fleet
    answers_a_metric: int = 1


MODBUS = Shape(title="400 Modbus x 20 at 1 s", fleet=Fleet(protocol="modbus", devices=400, tags=20))
S7 = Shape(title="80 S7 x 100 at 1 s", fleet=Fleet(protocol="s7", devices=80, tags=100), answers_a_metric=5)
OPCUA = Shape(title="2,000 OPC UA items at 1 s", fleet=Fleet(protocol="opcua", devices=1, tags=2_000))
LARGER = Fleet(protocol="modbus", devices=1_200, tags=20)


class Bench:
    """One runtime, one field and a count at the broker."""

    def __init__(self, runtime: Runtime, field: Responder, tally: Tally, program: Path) -> None:
        """All of them run."""
        self.runtime, self.field, self.tally, self.program = runtime, field, tally, program

    def rows(self) -> int:
        """Samples committed."""
        return int(self.runtime.query(ROWS)[0][0])

    def rows_at_rest(self) -> int:
        """Samples committed, once no more come."""
        before = -1
        while (now := self.rows()) != before:
            before = now
            time.sleep(QUIET_S)
        return now

    @contextlib.contextmanager
    def beside(self, fleet: Fleet, *, layout: str = telegraf.WHOLE) -> Iterator[dict[str, psutil.Process]]:
        """Telegraf on the same devices, for the length of a block; gives both programs."""
        config = (
            telegraf.agent(batch=1000, flush="1s")
            + telegraf.to_mqtt(self.runtime.broker.url, layout=layout)
            + telegraf.reading(fleet, port=self.field.ports[1])
        )
        with telegraf.running(self.program, config, self.runtime.folder / "telegraf") as process:
            yield {GATEWAY: parts_of(self.runtime)[GATEWAY], TELEGRAF: psutil.Process(process.pid)}


@contextlib.contextmanager
def bench(fleet: Fleet, program: Path) -> Iterator[Bench]:
    """Everything but Telegraf, with the fleet applied."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        opened = subscribed_field(fleet) if fleet.protocol == "opcua" else responding(fleet)
        field = stack.enter_context(opened)
        runtime = Runtime(folder, site="bench/peers")
        runtime.broker.options = UNBOUND
        (folder / "site.yaml").write_text(site_text(fleet, port=field.ports[0]))
        stack.callback(runtime.stop)
        runtime.start()
        apply_site(runtime)
        tally = stack.enter_context(tallying(runtime.broker.port, ["telegraf/#", "bench/peers/#"]))
        yield Bench(runtime, field, tally, program)


def compare(shape: Shape, program: Path, *, windows: int, seconds: float) -> list[Figure]:
    """Unchanged values, then values that all move; for Modbus also Telegraf's other layout, and more devices."""
    modbus = shape.fleet.protocol == "modbus"
    with bench(shape.fleet, program) as both:
        figures = _together(both, shape, windows=windows, seconds=seconds)
        if modbus:
            figures.append(_by_field(both, shape, windows=windows, seconds=seconds))
            figures.append(_growth(both))
    return figures


class Moved(NamedTuple):
    """What happened while values moved, and a little before and after, when none did.

    Attributes:
        took_s: Of that, how long they moved.
        windows: CPU in the middle of it.
        used: Memory at the end.
        values: What each reader was given that was new.
        reads: Share of the reads that were due, by reader; above 1 where a reader also read more often.
        rows: Committed by us.
        live: Messages of our live view.
        field: Share of a core that the field itself used.
    """

    took_s: float
    windows: list[Window]
    used: dict[str, Memory]
    values: list[int]
    reads: list[float]
    rows: int
    live: int
    field: float


def _together(both: Bench, shape: Shape, *, windows: int, seconds: float) -> list[Figure]:
    field, subscribed = both.field, shape.fleet.protocol == "opcua"
    both.tally.take()
    asked, published = field.facts().given[1].requests, 0
    with both.beside(shape.fleet) as programs:
        both.field.wait_read(shape.fleet)
        time.sleep(SETTLE_S)
        still = watch(programs, windows=windows, seconds=seconds)
        rows = both.rows_at_rest()
        published += both.tally.take().under(TELEGRAF_TOPICS)
        moved, more = _moved(both, shape.fleet, programs, rows=rows, windows=windows, seconds=seconds)
        published += more
    time.sleep(QUIET_S)
    published += both.tally.take().under(TELEGRAF_TOPICS)
    answered = moved.values[1] if subscribed else field.facts().given[1].requests - asked
    notes = [
        f"lost: {moved.values[0] - moved.rows:,} of {moved.values[0]:,} values",
        f"Telegraf {_their_loss(shape, answered=answered, published=published)}",
        f"{moved.live / moved.took_s:,.0f} live/s beside the frames",
        *([] if subscribed else [f"of the reads due {moved.reads[0]:.0%} and {moved.reads[1]:.0%}"]),
        f"the field itself {moved.field:.0%} of a core",
    ]
    return [
        _cpu(shape, still, "values unchanged", "", aimed=not subscribed),
        _cpu(shape, moved.windows, "all moving", "; ".join(notes)),
        _memory(shape, moved.used),
    ]


def _moved(
    both: Bench, fleet: Fleet, programs: dict[str, psutil.Process], *, rows: int, windows: int, seconds: float
) -> tuple[Moved, int]:
    """Let the values move; gives also Telegraf's messages meanwhile. `rows` are those of before."""
    field = both.field
    before, began = field.facts(), time.monotonic()
    field.move(True)
    time.sleep(QUIET_S)
    found = watch(programs, windows=windows, seconds=seconds)
    used = {name: memory(one) for name, one in programs.items()}
    field.move(False)
    took = time.monotonic() - began
    middle = field.facts()
    stored = both.rows_at_rest() - rows
    after, counts = field.facts(), both.tally.take()
    pairs = list(zip(before.given, middle.given, after.given, strict=True))
    return Moved(
        took_s=took,
        windows=found,
        used=used,
        values=[last.moved - first.moved for first, _, last in pairs],
        reads=[(then.values - first.values) / fleet.values / took for first, then, _ in pairs],
        rows=stored,
        live=counts.under(OUR_TOPICS),
        field=(middle.cpu_s - before.cpu_s) / took,
    ), counts.under(TELEGRAF_TOPICS)


def _their_loss(shape: Shape, *, answered: int, published: int) -> str:
    if shape.fleet.protocol == "opcua":
        return f"published {published:,} of {answered + shape.fleet.tags:,} changes and first values"
    due = answered / shape.answers_a_metric
    return f"lost {(due - published) * shape.fleet.tags:,.0f} of {due * shape.fleet.tags:,.0f}"


def _cpu(shape: Shape, windows: list[Window], how: str, note: str, *, aimed: bool = True) -> Figure:
    ours, theirs = share(windows, GATEWAY), share(windows, TELEGRAF)
    return Figure(
        name=f"gateway CPU, {shape.title}, {how}",
        value=ours * 100,
        unit="% of one",
        limit=theirs * 100,
        limit_name="Telegraf",
        ratio_at_most=1.0 if aimed else None,
        note="; ".join(filter(None, (spread(windows, GATEWAY, TELEGRAF), note))),
    )


def _memory(shape: Shape, used: dict[str, Memory]) -> Figure:
    ours, theirs = used[GATEWAY], used[TELEGRAF]
    return Figure(
        name=f"gateway memory, {shape.title}",
        value=ours.pss,
        unit="MiB PSS",
        limit=theirs.pss,
        limit_name="Telegraf",
        ratio_at_most=1.0,
        note=f"{shape.fleet.values:,} tags; resident {ours.rss:.0f} and {theirs.rss:.0f} MiB",
    )


def _by_field(both: Bench, shape: Shape, *, windows: int, seconds: float) -> Figure:
    """Telegraf with a message for each value, as our live view has."""
    both.field.move(True)
    with both.beside(shape.fleet, layout=telegraf.BY_FIELD) as programs:
        both.field.wait_read(shape.fleet)
        time.sleep(SETTLE_S)
        both.tally.take()
        began = time.monotonic()
        found = watch(programs, windows=windows, seconds=seconds)
        rate = both.tally.take().under(TELEGRAF_TOPICS) / (time.monotonic() - began)
    both.field.move(False)
    return _cpu(shape, found, "all moving, Telegraf too a message a value", f"Telegraf {rate:,.0f} messages/s")


def _growth(both: Bench) -> Figure:
    """Memory of fresh processes with 8,000 tags and with 24,000, every value seen."""
    small = _fresh(both, MODBUS.fleet)
    with responding(LARGER) as field:
        both.field = field
        (both.runtime.folder / "site.yaml").write_text(site_text(LARGER, port=field.ports[0]))
        apply_site(both.runtime)
        large = _fresh(both, LARGER)
    thousands = (LARGER.values - MODBUS.fleet.values) / 1000
    ours, theirs = ((large[name].pss - small[name].pss) / thousands for name in (GATEWAY, TELEGRAF))
    sizes = ", ".join(f"{name} {small[name].pss:.0f} -> {large[name].pss:.0f}" for name in (GATEWAY, TELEGRAF))
    return Figure(
        name="gateway memory, growth per 1,000 tags",
        value=ours,
        unit="MiB PSS",
        limit=theirs if theirs > 0 else None,
        limit_name="Telegraf",
        note=f"{MODBUS.fleet.values:,} to {LARGER.values:,} tags: {sizes} MiB",
    )


def _fresh(both: Bench, fleet: Fleet) -> dict[str, Memory]:
    both.runtime.cut([GATEWAY], seconds=0.5)
    both.field.move(True)
    with both.beside(fleet) as programs:
        both.field.wait_read(fleet)
        time.sleep(SETTLE_S)
        used = {name: memory(one) for name, one in programs.items()}
    both.field.move(False)
    return used
