"""What the runtime measured of the things that a plan changes, and what is not known of them. Pure.

Counts move while a plan is read: none is a part of what a hazard is, so that a consent and an approval survive them.

See docs/decisions/0101.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NotRequired, TypedDict

from nexus_cli.diagnostics.wording import counted
from nexus_cli.model.bound import Place
from nexus_cli.plan.live_clients import BrokerEntry, LiveClients, broker_entry, broker_lines
from nexus_cli.plan.load_facts import LinkFacts
from nexus_cli.plan.unreachable import Unreachable
from nexus_cli.wire.control_facts import Facts, MeasuredDatabase, MeasuredLink, MeasuredSeries

NO_SUBSCRIBERS = "live subscribers of topics: the broker does not report them"
KEPT = "they go when their retention ends, or by `nexus purge`"
PROTECTED = "`keep: always` protects them until `nexus keep end`; no retention and no `nexus purge` removes them before"


class SeriesEntry(TypedDict):
    """See `wire.control_facts.MeasuredSeries`; times as ISO 8601 in UTC."""

    path: str
    samples: int | None
    exact: bool
    first: str | None
    last: str | None
    bytes: int | None
    text: str


class LinkEntry(TypedDict):
    """See `wire.control_facts.MeasuredLink`."""

    link: str
    gateway: str
    state: str
    devices: int
    answering: int
    cycle_ms: float | None
    requests: int | None
    time_per_request_ms: float | None
    connect_ms: float | None
    text: str


class DatabaseEntry(TypedDict):
    """See `wire.control_facts.MeasuredDatabase`."""

    revision: str | None
    head: str
    pending: list[str]
    policies: str
    tables: list[str]
    text: str


class MeasuredEntry(TypedDict):
    """What was measured; `database` where it is known."""

    series: list[SeriesEntry]
    links: list[LinkEntry]
    broker: BrokerEntry
    database: NotRequired[DatabaseEntry]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Facts of the runtime, and what is missing.

    Attributes:
        facts: As control gave them; None when it gave none.
        unknowns: One line each, with the reason.
        retained: Retained messages that the plan clears.
        ending: Topics that end.
        live: Who is at the broker and concerned; None where it was not asked, or did not say.
        silent: Why it did not say.
        arriving: Links of which nothing can be measured yet, with their gateways.
        unreachable: What control can't reach of what the plan needs.
    """

    facts: Facts | None = None
    unknowns: tuple[str, ...] = ()
    retained: int = 0
    ending: int = 0
    live: LiveClients | None = None
    silent: str = ""
    arriving: frozenset[Place] = frozenset()
    unreachable: tuple[Unreachable, ...] = ()

    def links(self) -> dict[Place, LinkFacts]:
        """What was measured of each link, by gateway and link id."""
        return {
            (each.gateway, each.link): LinkFacts(
                link=each.link,
                gateway=each.gateway,
                cycle_ms=each.cycle_ms,
                requests=each.requests,
                time_per_request_ms=each.time_per_request_ms,
                connect_ms=each.connect_ms,
            )
            for each in (self.facts.links if self.facts is not None else ())
        }

    def series(self) -> dict[str, MeasuredSeries]:
        """What is stored of each series, by path."""
        return {each.path: each for each in (self.facts.series if self.facts is not None else ())}


def measured_entry(found: Measured) -> MeasuredEntry:
    """The key `measured` of a plan document."""
    facts = found.facts or Facts()
    entry: MeasuredEntry = {
        "series": [_series(each) for each in facts.series],
        "links": [_link(each) for each in facts.links],
        "broker": broker_entry(found.retained, found.live),
    }
    if facts.database is not None:
        entry["database"] = _database(facts.database)
    return entry


def unknowns_of(found: Measured) -> list[str]:
    """The key `unknowns`: each part that is not known, once, with its reason."""
    lines = list(found.unknowns)
    if found.facts is not None:
        lines += found.facts.unknown
        lines += _together("samples", ((each.why, each.path) for each in found.facts.series if each.samples is None))
        links = [each for each in found.facts.links if each.state or (each.gateway, each.link) not in found.arriving]
        lines += _together("measures", ((each.why, each.link) for each in links if each.why))
    if found.silent:
        lines.append(f"live subscribers and sessions: {found.silent}")
    elif found.ending and (found.live is None or found.live.subscribers is None):
        lines.append(NO_SUBSCRIBERS)
    return list(dict.fromkeys(lines))


def _together(what: str, found: Iterable[tuple[str, str]]) -> Iterator[str]:
    by_reason: dict[str, list[str]] = {}
    for why, name in found:
        by_reason.setdefault(why, []).append(name)
    for why, names in by_reason.items():
        more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
        yield f"{what} of {names[0]}{more}: {why}"


def samples_text(found: Sequence[MeasuredSeries]) -> str:
    """`63,072,000 samples since 2024-11-30, about 1.2 GB`; "" when nothing is known of any."""
    known = [each for each in found if each.samples is not None]
    if not known:
        return ""
    samples = sum(each.samples or 0 for each in known)
    about = "" if all(each.exact for each in found) else "about "
    at_least = "" if len(known) == len(found) else "at least "
    text = f"{at_least or about}{counted(samples, 'sample')}"
    first = min((each.first for each in known if each.first is not None), default=None)
    if samples and first is not None:
        text += f" since {_moment(first):%Y-%m-%d}"
    size = sum(each.bytes or 0 for each in known)
    return f"{text}, about {size_words(size)}" if samples and size else text


def size_words(size_bytes: int) -> str:
    """A size in powers of a thousand: `1.2 GB`, `900 B`."""
    size = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if round(size) < 1000:  # what is written as 1000 is 1.0 of the next unit
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _moment(time_us: int) -> datetime:
    return datetime.fromtimestamp(time_us // 1_000_000, UTC)


def _iso(time_us: int | None) -> str | None:
    return None if time_us is None else _moment(time_us).isoformat().replace("+00:00", "Z")


def _series(each: MeasuredSeries) -> SeriesEntry:
    return {
        "path": each.path,
        "samples": each.samples,
        "exact": each.exact,
        "first": _iso(each.first),
        "last": _iso(each.last),
        "bytes": each.bytes,
        "text": samples_text([each]) or f"unknown: {each.why}",
    }


def _link(each: MeasuredLink) -> LinkEntry:
    words = []
    if each.cycle_ms is not None:
        words.append(f"a poll turn takes up to {each.cycle_ms:g} ms for {counted(each.requests or 0, 'request')}")
    if each.time_per_request_ms is not None:
        words.append(f"{each.time_per_request_ms:g} ms a request")
    if each.connect_ms is not None:
        words.append(f"a connect {each.connect_ms:g} ms")
    if each.state:
        words.append(f"{each.state}, {each.answering} of {counted(each.devices, 'device')} answering")
    return {
        "link": each.link,
        "gateway": each.gateway,
        "state": each.state,
        "devices": each.devices,
        "answering": each.answering,
        "cycle_ms": each.cycle_ms,
        "requests": each.requests,
        "time_per_request_ms": each.time_per_request_ms,
        "connect_ms": each.connect_ms,
        "text": "; ".join(words) or f"unknown: {each.why}",
    }


def _database(found: MeasuredDatabase) -> DatabaseEntry:
    policies = "server" if found.timescale else "historian"
    words = []
    if found.pending:
        words.append(f"{counted(len(found.pending), 'migration')} pending ({found.revision} -> {found.head})")
    if found.tables:
        words.append(f"new tables for {', '.join(found.tables)}; the {policies} drops what is too old")
    return {
        "revision": found.revision,
        "head": found.head,
        "pending": found.pending,
        "policies": policies,
        "tables": found.tables,
        "text": "; ".join(words) or f"schema {found.head} is in place",
    }


def measured_lines(entry: MeasuredEntry | None) -> Iterator[str]:
    """The measures of links and database as lines of a plan's text."""
    if entry is None:
        return
    of_link = Counter(each["link"] for each in entry["links"])
    for each in entry["links"]:
        if not each["text"].startswith("unknown"):
            whose = f" of {each['gateway']}" if of_link[each["link"]] > 1 else ""
            yield f"{each['link']}{whose}: {each['text']}"
    yield from broker_lines(entry["broker"])
    database = entry.get("database")
    if database and (database["pending"] or database["tables"]):
        yield f"database: {database['text']}"
