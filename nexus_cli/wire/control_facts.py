"""Bodies of control's HTTP API about what the runtime measured of the things that a plan changes; rules as in `control.py`.

See docs/decisions/0101.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from nexus_cli.wire.control import Body, Name, Question

MOST_SERIES = 2_000
"""Series in one question; of more, the plan says how many were not asked for."""
MOST_LINKS = 1_000
MOST_CLASSES = 200
MOST_GATEWAYS = 1_000


class AskedLink(Body, frozen=True, kw_only=True):
    """A link of a gateway: `serial:/dev/ttyUSB0` of two gateways are two lines."""

    gateway: Name
    link: Name


class FactsQuestion(Question, frozen=True, kw_only=True):
    """What a plan changes.

    Attributes:
        series: Recorded paths of tags whose series ends or breaks.
        links: Of devices that change.
        classes: Retention classes that the plan declares.
        gateways: Those that have to take something up.
    """

    series: Annotated[list[Name], msgspec.Meta(max_length=MOST_SERIES)] = []
    links: Annotated[list[AskedLink], msgspec.Meta(max_length=MOST_LINKS)] = []
    classes: Annotated[list[Name], msgspec.Meta(max_length=MOST_CLASSES)] = []
    gateways: Annotated[list[Name], msgspec.Meta(max_length=MOST_GATEWAYS)] = []


class MeasuredSeries(Body, frozen=True, kw_only=True):
    """What is stored of one series.

    Attributes:
        path: As it was asked for.
        samples: How many; None is not known.
        exact: False for an estimate.
        first, last: Times of the first and last sample, µs since 1970 UTC; None where there is none, or it is not known.
        bytes: On disk with the index, always an estimate; None is not known.
        why: Why something is not known, or only estimated; "" otherwise.
    """

    path: str
    samples: int | None = None
    exact: bool = False
    first: int | None = None
    last: int | None = None
    bytes: int | None = None
    why: str = ""


class MeasuredLink(Body, frozen=True, kw_only=True):
    """What a gateway says of one link.

    Attributes:
        link: Link id.
        gateway: Whose it is, as it was asked for.
        state: As in its health; "" when it is not reported.
        devices, answering: Devices on it that the gateway reads, and those of them that give values.
        cycle_ms, requests, time_per_request_ms, connect_ms: As in `plan.load_facts.LinkFacts`.
        why: Why figures are missing; "" otherwise.
    """

    link: str
    gateway: str = ""
    state: str = ""
    devices: int = 0
    answering: int = 0
    cycle_ms: float | None = None
    requests: int | None = None
    time_per_request_ms: float | None = None
    connect_ms: float | None = None
    why: str = ""


class MeasuredDatabase(Body, frozen=True, kw_only=True):
    """The schema, and what an apply adds to it.

    Attributes:
        revision: Of the schema; None: empty.
        head: What this control needs.
        pending: Migrations that are not applied, in order.
        timescale: Whether TimescaleDB keeps policies; without it the historian does that work.
        tables: Of the classes asked for, those that have no table yet.
    """

    revision: str | None = None
    head: str = ""
    pending: list[str] = []
    timescale: bool = False
    tables: list[str] = []


class Facts(Body, frozen=True, kw_only=True):
    """What is known. `unknown` has one sentence for each part that is not.

    Attributes:
        series: In the order of the question.
        links: In the order of the question.
        database: None when it is not known.
        broker: Why control is not connected to the broker; "" when it is, None when this control does not know.
        gateways: The state that each of the gateways asked for reported last (`running`, `lost`, `stopping`); those that have
            never reported are missing.
        unknown: What is missing as a whole, and why.
    """

    series: list[MeasuredSeries] = []
    links: list[MeasuredLink] = []
    database: MeasuredDatabase | None = None
    broker: str | None = None
    gateways: dict[str, str] = {}
    unknown: list[str] = []
