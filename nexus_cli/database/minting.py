"""Minting of series: the facts of a tag, its id, and the rows of thousands at once.

See docs/decisions/0063.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import asyncpg
import orjson

from nexus_cli.database.connect import Connection
from nexus_cli.database.names import SCHEMA
from nexus_cli.model.config import DeviceConfig, TagConfig

EXTERNAL = "external"
COPY_FROM = 500
"""From so many rows on COPY pays for the savepoint that it needs."""
NO_LABELS = "{}"
COLUMNS = ("site", "ulid", "path", "type", "unit", "retention", "external", "labels", "lineage", "segments")

_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [high + low for high in _DIGITS for low in _DIGITS]
_LOW_BITS = 20
"""The four last digits of an id count; what is above them seldom changes within one call."""
_HIGH_DIGITS = 22
_RANDOM_BITS = 80


class SeriesFacts(NamedTuple):
    """Facts of a series about its tag, in the order of the SQL; `labels` and `lineage` are JSON texts."""

    path: str
    type: str
    unit: str
    retention: str
    external: bool
    labels: str
    lineage: str


def facts_of(device: DeviceConfig, tag_name: str, tag: TagConfig) -> SeriesFacts:
    """The facts for the series of a tag; equal tags give equal texts, byte by byte."""
    steps: dict[str, object] = {"type": tag.type}
    if tag.expr:
        steps["expr"] = tag.expr
    if tag.scale != 1.0 or tag.offset != 0.0:
        steps["scale"], steps["offset"] = tag.scale, tag.offset
    if tag.unit:
        steps["unit"] = tag.unit
    if tag.publish_unit and tag.publish_unit != tag.unit:
        steps |= {"publish_unit": tag.publish_unit, "factor": tag.unit_factor, "shift": tag.unit_shift}
    lineage: dict[str, object] = {
        "gateway": device.gateway,
        "device": device.path,
        "protocol": device.protocol,
        "transformations": steps,
    }
    if tag.address:
        lineage["address"] = tag.address
    return SeriesFacts(
        f"{device.path}/{tag_name}",
        tag.published_type or tag.type,
        tag.publish_unit or tag.unit,
        tag.retention,
        device.protocol == EXTERNAL,
        orjson.dumps(tag.values, option=orjson.OPT_SORT_KEYS).decode() if tag.values else NO_LABELS,
        orjson.dumps(lineage, option=orjson.OPT_SORT_KEYS).decode(),
    )


def facts_by_path(devices: Mapping[str, DeviceConfig | None]) -> dict[str, SeriesFacts]:
    """The facts of every tag of the devices by path; None is a removed device."""
    return {
        facts.path: facts
        for device in devices.values()
        if device is not None
        for facts in (facts_of(device, name, tag) for name, tag in device.tags.items())
    }


def new_ids(count: int) -> list[str]:
    """So many ULIDs of this moment, ascending: neighbours in the index, too.

    The first is random, each further one is the next number.
    Source: ULID specification, "Monotonicity" and "Encoding" (Crockford's base 32, 48 bits of ms and 80 at random).
    """
    # The highest of the random bits stays 0, so that counting does not run into the time.
    first = (time.time_ns() // 1_000_000 << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS - 1)
    ids: list[str] = []
    above, prefix = -1, ""
    for number in range(first, first + count):
        if number >> _LOW_BITS != above:
            above = number >> _LOW_BITS
            prefix = "".join(_DIGITS[above >> 5 * place & 31] for place in reversed(range(_HIGH_DIGITS)))
        ids.append(prefix + _PAIRS[number >> 10 & 1023] + _PAIRS[number & 1023])
    return ids


async def create_series(conn: Connection, *, site: str, facts: Sequence[SeriesFacts]) -> None:
    """Mint series; a path that exists already is left as it is."""
    if not facts:
        return
    now: datetime = await conn.fetchval("SELECT now()")
    since = now.isoformat()
    rows = [
        (site, ulid, *each, _first_segment(each, since=since))
        for ulid, each in zip(new_ids(len(facts)), facts, strict=True)
    ]
    if len(rows) < COPY_FROM or not await _copy(conn, rows):
        await _insert(conn, rows)


async def _copy(conn: Connection, rows: Sequence[tuple[object, ...]]) -> bool:
    """Write new rows; False when a path exists, and nothing was written.

    A caller asks for paths that it did not find, but a historian may mint one of them by a glob meanwhile.
    """
    try:
        async with conn.transaction():
            await conn.copy_records_to_table("series", schema_name=SCHEMA, columns=COLUMNS, records=rows)
    except asyncpg.UniqueViolationError:
        return False
    return True


async def _insert(conn: Connection, rows: Sequence[tuple[object, ...]]) -> None:
    _, *columns = (list(column) for column in zip(*rows, strict=True))
    await conn.execute(
        f"""INSERT INTO {SCHEMA}.series ({", ".join(COLUMNS)})
            SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bool[],
                                     $8::jsonb[], $9::jsonb[], $10::jsonb[])
            ON CONFLICT (site, path) DO NOTHING""",
        *(rows[0][0], *columns),
    )


def _first_segment(facts: SeriesFacts, *, since: str) -> str:
    """The column `segments`. Without names there is no `labels`: most tags have none, and a site may have 41,000."""
    segment: dict[str, object] = {"segment": 1, "type": facts.type, "unit": facts.unit, "since": since}
    if facts.labels != NO_LABELS:
        segment["labels"] = orjson.loads(facts.labels)
    return orjson.dumps([segment]).decode()
