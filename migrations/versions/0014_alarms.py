"""Alarms: what an alert is beside its state, and its journal.

Revision ID: 0014
Revises: 0013
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_TIMES = ("occurrence", "shelved_until", "out_of_service")
_TEXTS = ("shelved_by", "shelved_reason", "out_of_service_by", "out_of_service_reason", "suppressed_by")


_BEFORE = "active | acknowledged | cleared"
_STATES = "active | acknowledged | returned | cleared"
_COMMENTS = {
    ("alert", "state"): (_BEFORE, _STATES),
    ("alert_change", "name"): (None, "empty: a flood of the site"),
    ("alert_change", "at"): ("when the state began", "when it changed"),
    ("alert_change", "state"): (_BEFORE, f"after it: {_STATES}"),
}
_TABLE = ("every change of state of an alert, the newest of each alert are kept", "the journal of alerts, kept by age")
_WORDS = {"kind": "what happened: wire.alert.KINDS", "who": None, "reason": None, "priority": None, "alarm_group": None}
_FLAGS = {"held": "not announced: shelved, out of service or suppressed", "first_out": None}


def upgrade() -> None:
    """Columns only; a change on record becomes a line of the journal of the same kind."""
    changed = sa.Column("changed", sa.DateTime(timezone=True), comment="when anything of it last changed; null: since")
    op.add_column("alert", changed, schema="nexus")
    for name in _TIMES:
        comment = "when it last became active" if name == "occurrence" else None
        op.add_column("alert", sa.Column(name, sa.DateTime(timezone=True), comment=comment), schema="nexus")
    op.execute("UPDATE nexus.alert SET occurrence = since WHERE state = 'active'")
    for name in _TEXTS:
        op.add_column("alert", _text(name), schema="nexus")
    op.add_column("alert", _flag("first_out"), schema="nexus")
    timers = sa.Column("timers", postgresql.JSONB(), comment="what runs in it beside pending")
    op.add_column("alert", timers, schema="nexus")
    for name, comment in _WORDS.items():
        op.add_column("alert_change", _text(name, comment), schema="nexus")
    for name, comment in _FLAGS.items():
        op.add_column("alert_change", _flag(name, comment), schema="nexus")
    op.execute("UPDATE nexus.alert_change SET kind = state, who = acknowledged_by")
    op.create_index("ix_alert_change_at", "alert_change", ["site", "at"], schema="nexus")
    _comment(1)


def downgrade() -> None:
    """Holds, and lines of the journal that are no change of state, are lost."""
    _comment(0)
    op.execute("DELETE FROM nexus.alert_change WHERE kind NOT IN ('active', 'acknowledged', 'cleared') OR name = ''")
    op.execute("UPDATE nexus.alert SET state = 'active' WHERE state = 'returned'")
    op.drop_index("ix_alert_change_at", "alert_change", schema="nexus")
    for name in (*_WORDS, *_FLAGS):
        op.drop_column("alert_change", name, schema="nexus")
    for name in ("changed", *_TIMES, *_TEXTS, "first_out", "timers"):
        op.drop_column("alert", name, schema="nexus")


def _text(name: str, comment: str | None = None) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), server_default="", nullable=False, comment=comment)


def _flag(name: str, comment: str | None = None) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(), server_default="false", nullable=False, comment=comment)


def _comment(which: int) -> None:
    """The words of before (0) or of now (1)."""
    for (table, column), words in _COMMENTS.items():
        op.alter_column(table, column, comment=words[which], existing_comment=words[1 - which], schema="nexus")
    op.create_table_comment("alert_change", _TABLE[which], existing_comment=_TABLE[1 - which], schema="nexus")
