"""Names and manifests: what is written is read again, and what can't be is said."""

from __future__ import annotations

from datetime import date

import pytest

from nexus_cli.archive.manifest import (
    ArchivedFile,
    ArchivedSeries,
    Manifest,
    folder_of,
    joined,
    manifest_of,
    part_name,
)
from nexus_cli.diagnostics.errors import NexusError


def a_manifest(**more: object) -> Manifest:
    file = ArchivedFile(name="part-0001-ab.parquet", sha256="00", size=10, rows=3, first=1, last=2)
    series = ArchivedSeries(id=7, ulid="U", path="a/l/d/t", type="float64", unit="°C")
    fields = {"nexus": "1", "site": "acme/chicago", "retention": "fast", "day": "2026-01-31", "rows": 3}
    return Manifest(**{**fields, "files": [file], "series": [series], **more})  # type: ignore[arg-type]


def test_a_manifest_is_read_as_it_was_written() -> None:
    assert manifest_of(a_manifest().to_json(), where="x") == a_manifest()
    assert "°C" in a_manifest().to_json().decode()


@pytest.mark.parametrize("damage", [b"", b"{}", b"[1]", b"\xff", a_manifest(format=2).to_json()])
def test_what_is_no_manifest_or_of_a_later_format_is_said(damage: bytes) -> None:
    with pytest.raises(NexusError) as raised:
        manifest_of(damage, where="day x")
    assert raised.value.code == "NX6483"
    assert "day x" in raised.value.message


def test_names_sort_by_day_and_number() -> None:
    days = [folder_of("acme/chicago", "fast", date(2026, 1, day)) for day in (2, 10, 31)]
    assert days == sorted(days)
    assert days[0] == "acme/chicago/class=fast/day=2026-01-02"
    assert part_name(12, "ab") == "part-0012-ab.parquet"


def test_the_newer_name_of_a_series_counts() -> None:
    old = ArchivedSeries(id=1, ulid="A", path="a/l/d/old", type="float64")
    new = ArchivedSeries(id=1, ulid="A", path="a/l/d/new", type="float64")
    other = ArchivedSeries(id=0, ulid="B", path="a/l/d/x", type="bool")
    assert joined([old], [other, new]) == [other, new]
