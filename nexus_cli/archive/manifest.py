"""What the archive calls its files, and the manifest of a day: written last, it names what belongs to the day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import msgspec

from nexus_cli.diagnostics.errors import NexusError

FORMAT = 1
"""Of the manifest and of the files; a later one is read by a later NEXUS."""
MANIFEST = "manifest.json"


class ArchivedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A Parquet file of a day.

    Attributes:
        name: In the folder of the day.
        sha256: Of its bytes, hexadecimal.
        size: In bytes.
        rows: How many it has.
        first, last: Lowest and highest time, µs since 1970 UTC.
    """

    name: str
    sha256: str
    size: int
    rows: int
    first: int
    last: int


class ArchivedSeries(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A series of a day.

    Attributes:
        id: Its `series_id` in the files.
        ulid: Its name for ever; a restore goes by it.
        path: `area/line/device/tag` when the day was archived.
        type: Of its values.
        unit: Of its values; what it was before is in `segments`.
        former_paths: What it was called before.
        segments: Types and units over time.
    """

    id: int
    ulid: str
    path: str
    type: str
    unit: str = ""
    former_paths: list[str] = []
    segments: list[dict[str, Any]] = []


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The manifest of a day.

    Attributes:
        format: `FORMAT`.
        nexus: Version of NEXUS that wrote it.
        site: `enterprise/site`.
        retention: The retention class.
        day: `2026-01-31`, UTC.
        rows: Of all files.
        files: Those that belong to the day; nothing else in its folder does.
        series: Of the files, by id.
    """

    nexus: str
    site: str
    retention: str
    day: str
    rows: int
    files: list[ArchivedFile]
    series: list[ArchivedSeries]
    format: int = FORMAT

    def to_json(self) -> bytes:
        """As it is in the archive."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"


def manifest_of(found: bytes | Mapping[str, Any], *, where: str) -> Manifest:
    """Read a manifest, of the archive or of the table.

    Raises:
        NexusError: NX6483, it is not one, or of a later format.
    """
    try:
        made = (
            msgspec.json.decode(found, type=Manifest)
            if isinstance(found, bytes)
            else msgspec.convert(dict(found), Manifest)
        )
    except (msgspec.MsgspecError, ValueError) as error:
        raise damaged(where, f"the manifest can't be read: {error}") from None
    if made.format > FORMAT:
        raise damaged(where, f"it has format {made.format}, and this NEXUS reads up to {FORMAT}")
    return made


def damaged(where: str, cause: str) -> NexusError:
    """What is in the archive is not what was put there."""
    return NexusError(
        f"The archive's {where} is damaged or missing.",
        code="NX6483",
        cause=cause,
        hint="`nexus archive verify` lists what is damaged; days that the historian still has are archived again",
    )


def folder_of(site: str, retention: str, day: date) -> str:
    """Where a day is, below `to`. `name=value` is what DuckDB, Spark and pandas read as a column."""
    return f"{site}/class={retention}/day={day.isoformat()}"


def part_name(number: int, token: str) -> str:
    """Of the nth file of a try; another try has other names, so that nothing is written over."""
    return f"part-{number:04d}-{token}.parquet"


def joined(old: Sequence[ArchivedSeries], new: Sequence[ArchivedSeries]) -> list[ArchivedSeries]:
    """Both, by id; the newer one counts."""
    return [series for _, series in sorted(({each.id: each for each in (*old, *new)}).items())]
