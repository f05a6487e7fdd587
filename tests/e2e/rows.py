"""What the database holds of a site, beside what it should hold."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from typing import Any

from nexus_cli.model.config import DeviceConfig, TagConfig
from tests.e2e.runtime import Runtime

NEWEST = """
select s.path, s.unit, x.value, x.value_exact, x.value_text, x.value_json, x.quality
from nexus.series s join lateral (
  select * from nexus.sample where series_id = s.id order by time desc limit 1) x on true
"""


def expected(tag: TagConfig, raw: Any) -> Any:
    """What must be in the row, worked out here and not by the code under test."""
    if isinstance(raw, (str, list, dict)):
        return raw
    if tag.values or isinstance(raw, bool):
        return float(raw)
    return (raw * tag.scale + tag.offset) * tag.unit_factor + tag.unit_shift


def stored(row: Any) -> Any:
    """The value of a row, whatever its column."""
    if row["value_json"] is not None:
        return json.loads(row["value_json"])
    if row["value_text"] is not None:
        return row["value_text"]
    return row["value"]


def same(have: Any, want: Any) -> bool:
    """Equal; floats to single precision."""
    if isinstance(want, float) and isinstance(have, (int, float)):
        return math.isclose(have, want, rel_tol=2e-7, abs_tol=1e-6)
    return bool(have == want)


def wrong_rows(rows: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What a row holds and what it should, by path, where the two differ; None where there is no row."""
    return {
        path: (stored(rows[path]) if path in rows else None, value)
        for path, value in wanted.items()
        if path not in rows or not same(stored(rows[path]), value)
    }


def wait_rows(runtime: Runtime, wanted: Mapping[str, Any], *, deadline_s: float = 40.0) -> dict[str, Any]:
    """Newest rows by path, once they hold what is wanted; else as they are at the deadline."""
    until = time.monotonic() + deadline_s
    while True:
        rows = {row["path"]: row for row in runtime.query(NEWEST)}
        if not wrong_rows(rows, wanted) or time.monotonic() > until:
            return rows
        time.sleep(0.3)


def physical(device: DeviceConfig) -> dict[str, TagConfig]:
    """The tags that a server holds."""
    return {name: tag for name, tag in device.tags.items() if tag.address}
