"""Every row of the audit trail becomes a link of a digest chain, by a trigger that no writer can forget.

Revision ID: 0017
Revises: 0016
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0017"
down_revision: str | None = "0016"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

DIGEST = """
CREATE FUNCTION nexus.audit_digest(previous bytea, number bigint, line nexus.audit) RETURNS bytea
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
  SELECT sha256(
    convert_to('nexus.audit.1', 'UTF8') || previous || int8send(number) || int8send(line.id)
    || int8send(round(extract(epoch FROM line.at) * 1000000)::bigint)
    || (SELECT string_agg(int4send(octet_length(field)) || field, ''::bytea ORDER BY position)
        FROM unnest(ARRAY[convert_to(line.site, 'UTF8'), convert_to(line.who, 'UTF8'), convert_to(line.what, 'UTF8'),
                          convert_to(line.subject, 'UTF8'), convert_to(line.detail::text, 'UTF8')])
             WITH ORDINALITY AS fields(field, position)))
$$
"""
"""The canonical form: a domain, the digest before, number, id and µs as 64-bit big-endian, five texts with their lengths.

`nexus_cli/database/audit_links.py` computes the same without the database's help.
"""

LINK = """
CREATE FUNCTION nexus.link_audit_row() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE head nexus.audit_head; before record; next bigint; previous bytea;
BEGIN
  SELECT * INTO head FROM nexus.audit_head WHERE site = NEW.site FOR UPDATE;
  IF NOT FOUND THEN
    INSERT INTO nexus.audit_head (site, digest) VALUES (NEW.site, decode(repeat('00', 32), 'hex'))
      ON CONFLICT DO NOTHING;
    SELECT * INTO head FROM nexus.audit_head WHERE site = NEW.site FOR UPDATE;
  END IF;
  IF head.open THEN
    SELECT link.number, link.digest INTO before FROM nexus.audit_link AS link
      WHERE link.site = NEW.site ORDER BY link.number DESC LIMIT 1;
    next := before.number + 1;
    previous := before.digest;
  ELSE
    UPDATE nexus.audit_head SET open = true WHERE site = NEW.site;
    next := head.number + 1;
    previous := head.digest;
  END IF;
  INSERT INTO nexus.audit_link (site, number, audit_id, at, previous, digest)
    VALUES (NEW.site, next, NEW.id, NEW.at, previous, nexus.audit_digest(previous, next, NEW));
  RETURN NULL;
END $$
"""
"""One link. It runs when its transaction commits: the lock of the head is the last that a writer takes, so it can be part of
no deadlock, and it is held for the commit alone."""

CLOSE = """
CREATE FUNCTION nexus.close_audit_head() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  UPDATE nexus.audit_head AS head SET open = false, number = link.number, digest = link.digest, at = clock_timestamp()
    FROM (SELECT number, digest FROM nexus.audit_link WHERE site = NEW.site ORDER BY number DESC LIMIT 1) AS link
    WHERE head.site = NEW.site AND head.open;
  RETURN NULL;
END $$
"""
"""Once a transaction, after its last link: a head that were written for each row would leave a dead one for each."""

REFUSE = """
CREATE FUNCTION nexus.refuse_chain_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  RAISE EXCEPTION 'nexus.% is written by the trigger of nexus.audit alone: % is refused', TG_TABLE_NAME, TG_OP
    USING ERRCODE = 'insufficient_privilege';
END $$
"""

TRIGGERS = (
    "CREATE CONSTRAINT TRIGGER audit_link AFTER INSERT ON nexus.audit DEFERRABLE INITIALLY DEFERRED "
    "FOR EACH ROW EXECUTE FUNCTION nexus.link_audit_row()",
    "CREATE CONSTRAINT TRIGGER audit_head_close AFTER UPDATE ON nexus.audit_head DEFERRABLE INITIALLY DEFERRED "
    "FOR EACH ROW WHEN (NEW.open) EXECUTE FUNCTION nexus.close_audit_head()",
    "CREATE TRIGGER audit_link_no_change BEFORE UPDATE OR DELETE ON nexus.audit_link "
    "FOR EACH ROW EXECUTE FUNCTION nexus.refuse_chain_change()",
    "CREATE TRIGGER audit_link_no_insert BEFORE INSERT ON nexus.audit_link "
    "FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION nexus.refuse_chain_change()",
    "CREATE TRIGGER audit_link_no_truncate BEFORE TRUNCATE ON nexus.audit_link "
    "FOR EACH STATEMENT EXECUTE FUNCTION nexus.refuse_chain_change()",
    "CREATE TRIGGER audit_head_no_change BEFORE INSERT OR UPDATE OR DELETE ON nexus.audit_head "
    "FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION nexus.refuse_chain_change()",
    "CREATE TRIGGER audit_head_no_truncate BEFORE TRUNCATE ON nexus.audit_head "
    "FOR EACH STATEMENT EXECUTE FUNCTION nexus.refuse_chain_change()",
    "ALTER TABLE nexus.audit ENABLE ALWAYS TRIGGER audit_link",
    "ALTER TABLE nexus.audit_head ENABLE ALWAYS TRIGGER audit_head_close",
    "REVOKE ALL ON nexus.audit_link, nexus.audit_head FROM PUBLIC",
    "REVOKE UPDATE, DELETE, TRUNCATE ON nexus.audit FROM PUBLIC",
)
"""ALWAYS: also for a session that calls itself a replica. Refusals stand before the rights: the owner has those."""

ADOPT = """
DO $$ DECLARE line nexus.audit; place text := ''; next bigint; before bytea; BEGIN
  FOR line IN SELECT * FROM nexus.audit ORDER BY site, id LOOP
    IF line.site <> place THEN
      place := line.site; next := 0; before := decode(repeat('00', 32), 'hex');
      INSERT INTO nexus.audit_head (site, digest) VALUES (place, before);
    END IF;
    next := next + 1;
    INSERT INTO nexus.audit_link (site, number, audit_id, at, previous, digest)
      VALUES (place, next, line.id, line.at, before, nexus.audit_digest(before, next, line)) RETURNING digest INTO before;
  END LOOP;
  UPDATE nexus.audit_head AS head SET number = link.number, digest = link.digest, adopted = link.number
    FROM (SELECT DISTINCT ON (site) site, number, digest FROM nexus.audit_link ORDER BY site, number DESC) AS link
    WHERE link.site = head.site;
END $$
"""
"""Rows of before: chained as they are found; `adopted` says how many nothing had protected until then."""


def upgrade() -> None:
    """Two tables, the triggers, and links for the rows of before."""
    op.create_table(
        "audit_head",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), server_default="0", nullable=False, comment="of the newest link"),
        sa.Column("digest", sa.LargeBinary(), nullable=False, comment="of the newest link; 32 zeros before the first"),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("adopted", sa.BigInteger(), server_default="0", nullable=False, comment="links made afterwards"),
        sa.Column("open", sa.Boolean(), server_default="false", nullable=False, comment="within a commit alone"),
        sa.PrimaryKeyConstraint("site", name=op.f("pk_audit_head")),
        schema="nexus",
    )
    op.create_table(
        "audit_link",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False, comment="from 1, without gaps"),
        sa.Column("audit_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, comment="of its row"),
        sa.Column("previous", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False, comment="SHA-256"),
        sa.PrimaryKeyConstraint("site", "number", name=op.f("pk_audit_link")),
        schema="nexus",
        comment="the digest chain over audit, in the order of commits",
    )
    op.create_index("ix_audit_link_audit_id", "audit_link", ["audit_id"], unique=True, schema="nexus")
    for function in (DIGEST, LINK, CLOSE, REFUSE):
        op.execute(function)
    op.execute(ADOPT)
    for trigger in TRIGGERS:
        op.execute(trigger)


def downgrade() -> None:
    """The chain is lost; the rows stay."""
    op.execute("DROP TRIGGER audit_link ON nexus.audit")
    op.drop_table("audit_link", schema="nexus")
    op.drop_table("audit_head", schema="nexus")
    for name in (
        "refuse_chain_change()",
        "close_audit_head()",
        "link_audit_row()",
        "audit_digest(bytea, bigint, nexus.audit)",
    ):
        op.execute(f"DROP FUNCTION nexus.{name}")
