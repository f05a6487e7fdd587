"""The audit trail as CSV (RFC 4180, with a head), for spreadsheets and other tools. Pure."""

from __future__ import annotations

import csv
import io
from datetime import UTC

import orjson

from nexus_cli.cli.views.clock import clock_text
from nexus_cli.wire.control import as_object
from nexus_cli.wire.control_audit import AuditEntry, AuditTrail

FIRST = ("at", "kind", "what", "who", "subject")
REST = tuple(name for name in AuditEntry.__struct_fields__ if name not in FIRST)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def trail_csv(found: AuditTrail) -> str:
    """A line each, oldest first; times in UTC, what is no text or number as JSON, what an entry has not as nothing.

    A text that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    file = io.StringIO()
    lines = csv.writer(file, lineterminator="\n")
    lines.writerow((*FIRST, *REST))
    for entry in found.entries:
        facts = as_object(entry)
        facts["at"] = clock_text(entry.at, zone=UTC, digits=6)
        lines.writerow([_cell(facts.get(name)) for name in (*FIRST, *REST)])
    return file.getvalue().rstrip("\n")


def _cell(value: object) -> str | int | float:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return orjson.dumps(value).decode()
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
