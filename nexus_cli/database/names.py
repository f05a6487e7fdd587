"""Names that every statement is written with. Apart from `tables.py`, because that one loads SQLAlchemy, which costs a
role a third of a second at its start and which only migrations use.
"""

from __future__ import annotations

SCHEMA = "nexus"

SAMPLE_COLUMNS: tuple[str, ...] = (
    "time",
    "series_id",
    "value",
    "value_exact",
    "value_text",
    "value_json",
    "quality",
    "status",
    "source_time",
)
"""Columns of every sample table, in COPY order. Types: timestamptz, int4, float8, numeric(20,0), text,
jsonb, int2, int8, timestamptz; unique (time, series_id). `value` holds numbers, booleans as 0/1 and the code of an
enumeration; `value_exact` holds 64-bit integers exactly; `status` is `wire.sample.pack_status`."""
