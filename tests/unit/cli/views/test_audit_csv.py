"""The audit trail as CSV."""

from __future__ import annotations

import csv
import io

from nexus_cli.cli.views.audit_csv import trail_csv
from nexus_cli.wire.control_audit import AuditEntry, AuditTrail

HEAD = {"at": 1_000_001, "kind": "deployment", "what": "apply", "who": "anna"}


def test_every_entry_is_a_line_that_a_reader_gets_back() -> None:
    odd = AuditEntry(**HEAD, subject="a,b", reason='two "words"\nand a line', counts={"applied": 2}, value=True)
    head, first, second = csv.reader(
        io.StringIO(trail_csv(AuditTrail(entries=[odd, AuditEntry(**HEAD, subject="")], truncated=False)))
    )
    row = dict(zip(head, first, strict=True))
    assert row["at"] == "1970-01-01 00:00:01.000001Z"
    assert (row["subject"], row["reason"]) == ("a,b", 'two "words"\nand a line')
    assert (row["counts"], row["value"], row["until"]) == ('{"applied":2}', "true", "")
    assert set(second[5:]) == {""}


def test_a_text_is_no_formula() -> None:
    entry = AuditEntry(**{**HEAD, "who": "=cmd()"}, subject="@x", value=-1)
    row = trail_csv(AuditTrail(entries=[entry], truncated=False)).splitlines()[1]
    assert ",'=cmd(),'@x," in row and ",-1," in row
