"""Tools about what is stored: history, statistics, gaps."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from mcp_types import CallToolResult
from pydantic import BaseModel, Field, SerializerFunctionWrapHandler, model_serializer

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.json_value import JsonObject
from nexus_cli.project.mcp.answers import Answer, capped, reply, short, shown
from nexus_cli.project.mcp.asking import Asking, Calling, clean
from nexus_cli.project.mcp.newest import NOT_THERE, range_text
from nexus_cli.project.mcp.tools import tool
from nexus_cli.project.mcp.words import reason_words, time_text
from nexus_cli.wire.web_client import WebClient, in_path

MOST_POINTS, MOST_GAPS = 500, 100
MOMENT = "How long ago (1h, 7d), today, 06:00, or ISO 8601 with an offset."
TagPath = Annotated[str, Field(min_length=1, max_length=500, description="`area/line/device/tag`.")]
Since = Annotated[str, Field(min_length=1, max_length=60, description=f"Start of the span: {MOMENT}")]
Until = Annotated[str, Field(min_length=1, max_length=60, description=f"End of the span: {MOMENT}")]
Aggregate = Literal["avg", "min", "max", "last", "first", "count", "good"]


class Point(BaseModel):
    """A stored sample, or a bucket of samples."""

    time: str
    value: Any = None
    quality: str = Field(default="", description="Of a sample: GOOD, UNCERTAIN or BAD.")
    reason: str = Field(default="", description="Why it is not GOOD.")
    count: int | None = Field(default=None, description="Samples in a bucket; `good` of them are GOOD.")
    good: int | None = None

    @model_serializer(mode="wrap")
    def _without_empty(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Fields that do not apply are left out: there are five hundred points."""
        found: dict[str, Any] = write(self)
        return {name: each for name, each in found.items() if name == "value" or each not in (None, "")}


class Gap(BaseModel):
    """A span in which samples are known to be missing."""

    start: str
    end: str = Field(description="Empty: it lasts.")
    device: str = Field(default="", description="Empty: the whole gateway.")
    gateway: str = ""
    frames: int = Field(default=0, description="0: it is not known how many.")
    reason: str = ""


class Stored(Answer):
    """What is stored of a tag, oldest first."""

    path: str
    unit: str
    type: str
    range: list[float | None] | None = Field(default=None, description="As declared now; null is open.")
    since: str
    until: str
    every: str = Field(default="", description="Width of a bucket; empty: single samples.")
    aggregate: str = ""
    points: list[Point]
    gaps: list[Gap] = Field(description="At most ten; `gaps` has all.")
    notes: list[str] = Field(description="Changes of unit, type or names in the span.")


class Statistics(Answer):
    """Statistics of a tag over a span."""

    path: str
    unit: str
    type: str
    range: list[float | None] | None = None
    since: str
    until: str
    begins: str = Field(description="Later than `since` where earlier values have another unit or type.")
    count: int = Field(description="Samples, BAD ones included.")
    good: int
    good_share: float | None = Field(description="0 to 1.")
    minimum: Any = None
    maximum: Any = None
    mean: float | None = None
    time_weighted_mean: float | None = None
    stddev: float | None = None
    first: Point | None = None
    last: Point | None = None
    covered_share: float = Field(description="For which part of the span a value held, 0 to 1.")
    left_out: str = Field(description="Why mean and deviation are left out; empty: they are not.")


class Gaps(Answer):
    """Gaps that touch a span, the newest last."""

    path: str
    gaps: list[Gap]


class StoredTools:
    """History, statistics and gaps, from web."""

    def __init__(self, asking: Asking) -> None:
        """For one server."""
        self._asking = asking

    @tool(
        "Stored values",
        f"Stored samples of one tag in a span, at most {MOST_POINTS} points, with quality, gaps and changes of "
        "unit. For long spans give `every` (buckets with `aggregate`): samples beyond `limit` are left out from the oldest on.",
    )
    async def history(
        self,
        ctx: Calling,
        path: TagPath,
        since: Since = "1h",
        until: Until = "now",
        every: Annotated[str, Field(max_length=20, description="Width of buckets: 1m, 1h, 1d; empty: samples.")] = "",
        aggregate: Aggregate | None = None,
        limit: Annotated[int, Field(ge=1, le=MOST_POINTS, description="The newest are given.")] = 100,
    ) -> Annotated[CallToolResult, Stored]:
        web, where = self._asking.caller(ctx).web, clean(path)
        found = await web.get(
            f"/history{in_path(where)}",
            since=since,
            until=until,
            every=every or None,
            aggregate=aggregate,
            limit=limit,
        )
        return _history(found, await range_of(web, where))

    @tool(
        "Statistics of a tag",
        "Count, least, greatest, means, deviation, first, last and share of GOOD of one tag over any span.",
    )
    async def statistics(
        self, ctx: Calling, path: TagPath, since: Since = "1h", until: Until = "now"
    ) -> Annotated[CallToolResult, Statistics]:
        web, where = self._asking.caller(ctx).web, clean(path)
        found = await web.get(f"/statistics{in_path(where)}", since=since, until=until)
        return _statistics(found, await range_of(web, where))

    @tool(
        "Known gaps",
        "Spans in which samples of a tag or device are known to be missing, with the reason.",
    )
    async def gaps(
        self, ctx: Calling, path: TagPath, since: Since = "1d", until: Until = "now"
    ) -> Annotated[CallToolResult, Gaps]:
        where = clean(path)
        found = await self._asking.caller(ctx).web.get(f"/gaps{in_path(where)}", since=since, until=until)
        rows = [_span(each) for each in reversed(found["gaps"])]
        kept, cut = capped(rows[:MOST_GAPS], total=len(rows), narrower="ask for a shorter span", what="gaps")
        kept.reverse()
        lines = map(_gap_line, kept) if kept else ["No gap is known in this span."]
        return reply(Gaps(path=where, gaps=kept, cut=cut), lines)


async def card_of(web: WebClient, path: str) -> JsonObject:
    """Everything declared about a tag; empty where it is not declared any more, or may not be read."""
    try:
        return await web.get(f"/tags{in_path(path)}")
    except NexusError as error:
        if error.code != NOT_THERE:
            raise
        return {}


async def range_of(web: WebClient, path: str) -> list[float | None] | None:
    """The declared range of a tag; None without one, or where the tag is not declared any more."""
    found: list[float | None] | None = (await card_of(web, path)).get("range")
    return found


def _history(found: JsonObject, range_: list[float | None] | None) -> CallToolResult:
    rows = [point_of(each) for each in found["samples"]]
    newest, cut = capped(rows[::-1], total=len(rows), narrower=_NARROWER, what="points")
    points = newest[::-1]
    if not cut and found["truncated"]:
        cut = f"older points of the span, beyond the limit of {len(rows):,}; {_NARROWER}"
    stored = Stored(
        path=found["path"],
        unit=found["unit"],
        type=found["type"],
        range=range_,
        since=found["since"],
        until=found["until"],
        every=found["every"] or "",
        aggregate=found["aggregate"] or "",
        points=points,
        gaps=[Gap(**{**each, "end": each["end"] or ""}) for each in found["gaps"][-10:]],
        notes=[_seam(each) for each in found["seams"][-10:]],
        cut=cut,
    )
    head = f"{stored.path} from {stored.since} to {stored.until}{range_text(range_, stored.unit)}: "
    head += f"{len(points):,} {'buckets of ' + stored.every if stored.every else 'samples'}, {len(found['gaps'])} gaps"
    return reply(stored, [head, *stored.notes, *(_point_line(each, stored.unit) for each in reversed(points))])


_NARROWER = "give a shorter span, or buckets with `every`"


def point_of(each: JsonObject) -> Point:
    """A sample or bucket of `/history`."""
    return Point(
        time=each["time"].replace("+00:00", "Z"),
        value=shown(each["value"]),
        quality=each.get("quality", ""),
        reason=each.get("reason") or each.get("gap") or "",
        count=each.get("count"),
        good=each.get("good"),
    )


def _statistics(found: JsonObject, range_: list[float | None] | None) -> CallToolResult:
    facts = {name: found[name] for name in Statistics.model_fields if name in found}
    facts |= {name: shown(found[name]) for name in ("minimum", "maximum")}
    facts |= {name: None if found[name] is None else point_of(found[name]) for name in ("first", "last")}
    stats = Statistics(**facts, range=range_)
    unit = f" {stats.unit}" if stats.unit else ""
    good = "no samples" if stats.good_share is None else f"{stats.good_share:.1%} GOOD"
    lines = [
        f"{stats.path} from {stats.since} to {stats.until}{range_text(range_, stats.unit)}: {stats.count:,} samples, {good}"
    ]
    numbers = {name: getattr(stats, name) for name in ("minimum", "maximum", "mean", "time_weighted_mean", "stddev")}
    lines += [f"{name.replace('_', ' ')}: {value}{unit}" for name, value in numbers.items() if value is not None]
    if stats.left_out:
        lines.append(f"mean and deviation are left out: {stats.left_out}")
    return reply(stats, lines)


def _span(each: JsonObject) -> Gap:
    times = {"start": time_text(each["start"]), "end": time_text(each["end"])}
    return Gap(**{**each, **times, "reason": short(each["reason"], most=200)})


def _gap_line(gap: Gap) -> str:
    whose = gap.device or f"gateway {gap.gateway}"
    return f"{gap.start} to {gap.end or 'now'}: {whose}, {reason_words(gap.reason)}"


def _seam(each: JsonObject) -> str:
    before, after = each["before"], each["after"]
    return (
        f"At {each['time']} it changed from {before['type']} {before['unit']} to {after['type']} {after['unit']}".rstrip()
        + (", earlier values are converted." if each["converted"] else ", earlier values are as they were.")
    )


def _point_line(point: Point, unit: str) -> str:
    said = "no value" if point.value is None else f"{point.value} {unit}".rstrip()
    if point.count is not None:
        return f"{point.time} {said} ({point.count} samples, {point.good} GOOD)"
    why = f" ({reason_words(point.reason)})" if point.reason else ""
    return f"{point.time} {said} {point.quality}{why}"
