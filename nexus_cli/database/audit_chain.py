"""The digest chain of the audit trail, read from the database by pages, and its head.

See docs/decisions/0096.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from nexus_cli.database.audit_links import NONE, Damage, Link, Place, Row, walk
from nexus_cli.database.connect import Connection
from nexus_cli.database.deployments import microseconds

LARGEST_PAGE = 10_000
"""Links of one page: some 10 MB with their rows."""
MOST_UNLINKED = 100
"""Rows without a link that are named one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The newest link as the head says it.

    Attributes:
        number, digest: Of the newest link.
        at_us: When it was made, µs since 1970 UTC; 0 when there is none.
        adopted: So many links were made for rows that had been there before.
    """

    number: int = 0
    digest: bytes = NONE
    at_us: int = 0
    adopted: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One page.

    Attributes:
        place: Where it ended.
        end: Whether that is the end of the chain.
        head: As it was when the page was read; None: it is gone.
        damages: What does not fit, in order.
    """

    place: Place
    end: bool
    head: Head | None
    damages: tuple[Damage, ...]


async def chain_head(conn: Connection, site: str) -> Head | None:
    """The head; None where nothing was ever written, or it is gone."""
    row = await conn.fetchrow("SELECT number, digest, at, adopted FROM nexus.audit_head WHERE site = $1", site)
    if row is None:
        return None
    return Head(number=row["number"], digest=row["digest"], at_us=microseconds(row["at"]), adopted=row["adopted"])


async def check_page(
    conn: Connection, site: str, place: Place, *, anchors: Mapping[int, bytes], limit: int = LARGEST_PAGE
) -> Checked:
    """Check the links after a place, and the head and the rows without a link when the chain ends in this page.

    Args:
        conn: Not in a transaction; the page is read from one snapshot.
        site: `enterprise/site`.
        place: Where the page before ended.
        anchors: Digests by number that were kept elsewhere; those of other pages are left alone, at the end those beyond it
            are found missing.
        limit: Links of this page.
    """
    limit = max(1, min(limit, LARGEST_PAGE))
    async with conn.transaction(isolation="repeatable_read", readonly=True):
        head = await chain_head(conn, site)
        links = await _links(conn, site, after=place.number, limit=limit)
        last = len(links) < limit
        unlinked = await _unlinked(conn, site) if last else []
    ended, damages = walk(place, links)
    by_number = {each.number: each.digest for each in links}
    for number, digest in sorted(anchors.items()):
        if number in by_number and by_number[number] != digest:
            text = f"link {number} is not the one that was anchored: it, or rows before it, were written anew"
            damages.append(Damage(kind="anchor", number=number, last=number, detail=text))
    if last:
        damages += _at_the_end(ended, head, anchors)
        damages += [
            Damage(
                kind="inserted",
                number=0,
                last=0,
                audit_id=row.id,
                at_us=row.at_us,
                who=row.who,
                what=row.what,
                subject=row.subject,
                detail=f"row {row.id} has no link: it was written while the trigger was off",
            )
            for row in unlinked
        ]
    return Checked(place=ended, end=last, head=head, damages=tuple(damages))


def _at_the_end(ended: Place, head: Head | None, anchors: Mapping[int, bytes]) -> list[Damage]:
    found: list[Damage] = []
    known = max([0 if head is None else head.number, *anchors])
    if head is None and ended.number:
        text = f"the head is gone; the last link is {ended.number}"
        found.append(Damage(kind="head", number=ended.number, last=ended.number, detail=text))
    if known > ended.number:
        which = "head" if head is not None and head.number == known else "anchor"
        text = f"the chain ends at link {ended.number}; the {which} names link {known}: the newest rows were removed"
        found.append(Damage(kind="cut", number=ended.number + 1, last=known, detail=text))
    elif head is not None and (head.number, head.digest) != (ended.number, ended.digest):
        text = f"the head names link {head.number} with another digest than the last link, {ended.number}, has"
        found.append(Damage(kind="head", number=ended.number, last=ended.number, detail=text))
    return found


async def _links(conn: Connection, site: str, *, after: int, limit: int) -> list[Link]:
    rows = await conn.fetch(
        """SELECT link.number, link.audit_id, link.at AS link_at, link.previous, link.digest,
                  line.id, line.at, line.site, line.who, line.what, line.subject, line.detail::text AS detail
           FROM (SELECT * FROM nexus.audit_link WHERE site = $1 AND number > $2 ORDER BY number LIMIT $3) AS link
           LEFT JOIN nexus.audit AS line ON line.id = link.audit_id ORDER BY link.number""",
        *(site, after, limit),
    )
    return [
        Link(
            number=row["number"],
            audit_id=row["audit_id"],
            at_us=microseconds(row["link_at"]),
            previous=row["previous"],
            digest=row["digest"],
            row=None if row["id"] is None else _row(row),
        )
        for row in rows
    ]


async def _unlinked(conn: Connection, site: str) -> Sequence[Row]:
    rows = await conn.fetch(
        """SELECT id, at, site, who, what, subject, detail::text AS detail FROM nexus.audit AS line
           WHERE site = $1 AND NOT EXISTS (SELECT FROM nexus.audit_link AS link
             WHERE link.audit_id = line.id AND link.site = $1 AND link.number > 0)
           ORDER BY id LIMIT $2""",
        *(site, MOST_UNLINKED),
    )
    return [_row(row) for row in rows]


def _row(row: Mapping[str, Any]) -> Row:
    texts = {name: row[name] for name in ("site", "who", "what", "subject", "detail")}
    at = row["at"]
    return Row(id=row["id"], at_us=microseconds(at if at.tzinfo else at.replace(tzinfo=UTC)), **texts)


__all__ = ["LARGEST_PAGE", "Checked", "Damage", "Head", "Place", "chain_head", "check_page"]
