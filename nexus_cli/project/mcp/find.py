"""Tools that find tags and read their newest values."""

from __future__ import annotations

from typing import Annotated

from mcp_types import CallToolResult
from pydantic import BaseModel, Field

from nexus_cli.json_value import JsonObject
from nexus_cli.project.mcp.answers import Answer, capped, reply, short
from nexus_cli.project.mcp.asking import Asking, Calling, clean
from nexus_cli.project.mcp.newest import Value, line_of, newest
from nexus_cli.project.mcp.tools import tool

MOST_HITS, MOST_READ = 200, 100
Words = Annotated[str, Field(max_length=200, description="Words, all of which must be found.")]
Place = Annotated[str, Field(max_length=500, description="`area`, `area/line` or `area/line/device`; empty: the site.")]
Paths = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=500)]],
    Field(min_length=1, max_length=MOST_READ, description="`area/line/device/tag` each."),
]


class Found(BaseModel):
    """An area, line, device or tag."""

    path: str
    kind: str = Field(description="area, line, device or tag.")
    unit: str = ""
    type: str = ""
    description: str = ""
    address: str = ""
    labels: dict[str, str] = {}
    tags: int | None = Field(default=None, description="How many tags are below it.")
    good: int | None = Field(default=None, description="Those of them whose newest value is GOOD.")
    writable: bool | None = None


class Finds(Answer):
    """Finds, the best first; children of a place in path order."""

    found: list[Found]
    total: int


class Values(Answer):
    """Newest values in the order of the question."""

    values: list[Value]


class FindTools:
    """Search and newest values, from web."""

    def __init__(self, asking: Asking) -> None:
        """For one server."""
        self._asking = asking

    @tool(
        "Find tags",
        "Find areas, lines, devices and tags of the plant: by words in path, description, unit, PLC address, "
        "labels and names of codes (`text`), or the children of a place (`below` without `text`). Begin here: the other "
        "tools need exact paths.",
    )
    async def find(
        self,
        ctx: Calling,
        text: Words = "",
        below: Place = "",
        limit: Annotated[int, Field(ge=1, le=MOST_HITS)] = 50,
    ) -> Annotated[CallToolResult, Finds]:
        web = self._asking.caller(ctx).web
        if text.strip():
            return _finds(await web.get("/search", q=text, limit=MOST_HITS), below, limit)
        found = (await web.get("/tree", path=clean(below) if below.strip() else ""))["children"]
        rows = [_child(each) for each in found]
        kept, cut = capped(rows[:limit], total=len(rows), narrower=_NARROWER, what="children")
        return reply(Finds(found=kept, total=len(rows), cut=cut), map(_line, kept))

    @tool(
        "Read newest values",
        f"Newest values of up to {MOST_READ} tags with unit, declared range, quality, the reason when it is not "
        "GOOD, and age. A BAD value is null: `why_no_data` says why.",
    )
    async def read(self, ctx: Calling, paths: Paths) -> Annotated[CallToolResult, Values]:
        web = self._asking.caller(ctx).web
        values = await newest(web, [clean(path) for path in paths])
        kept, cut = capped(values, total=len(values), narrower="read fewer paths at once", what="values")
        return reply(Values(values=kept, cut=cut), map(line_of, kept))


_NARROWER = "give more words, or a longer place in `below`"


def _finds(answer: JsonObject, below: str, limit: int) -> CallToolResult:
    place = clean(below) if below.strip() else ""
    hits = [each for each in answer["hits"] if not place or each["path"].startswith(place + "/")]
    # Below a place only those hits are known that web gave.
    total = len(hits) if place else int(answer["total"])
    kept, cut = capped([_hit(each) for each in hits[:limit]], total=total, narrower=_NARROWER, what="finds")
    if place and answer["total"] > len(answer["hits"]):
        cut = f"only the best {len(answer['hits'])} finds of the whole site were looked at; {_NARROWER}"
    lines = map(_line, kept) if kept else ["Nothing was found that you may read."]
    return reply(Finds(found=kept, total=total, cut=cut), lines)


def _hit(each: JsonObject) -> Found:
    return Found(
        path=each["path"],
        kind=each["kind"],
        unit=each.get("unit", ""),
        type=each.get("type", ""),
        description=short(each.get("description", ""), most=200),
        address=short(each.get("address", ""), most=200),
        labels={name: short(text, most=100) for name, text in list(each.get("labels", {}).items())[:20]},
    )


def _child(each: JsonObject) -> Found:
    return Found(
        path=each["path"],
        kind=each["kind"],
        unit=each.get("unit", ""),
        type=each.get("type", ""),
        description=short(each.get("description", ""), most=200),
        tags=each["tags"],
        good=each["counts"]["GOOD"],
        writable=each["writable"] if each["kind"] == "tag" else None,
    )


def _line(each: Found) -> str:
    facts = [each.type, each.unit, each.description]
    if each.tags is not None and each.kind != "tag":
        facts = [f"{each.tags:,} tags", f"{each.good:,} GOOD", each.description]
    return f"{each.kind} {each.path}: " + ", ".join(filter(None, facts))
