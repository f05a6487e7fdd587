"""The digest chain of the audit trail, computed again: which row is not what was written.

The database's trigger makes the links (migration 0017). Here the digests are computed without the database, so that a
replaced function there changes nothing, and what does not fit is named: pure, over one page of links at a time.

See docs/decisions/0096.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

DOMAIN = b"nexus.audit.1"
NONE = bytes(32)
"""The digest before the first link."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of `audit`, as its digest sees it.

    Attributes:
        id: Its key.
        at_us: µs since 1970 UTC.
        site, who, what, subject, detail: `detail` as PostgreSQL writes its jsonb.
    """

    id: int
    at_us: int
    site: str
    who: str
    what: str
    subject: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link of the chain with the row that it names; `row` is None where that row is gone.

    Attributes:
        number: Its place.
        audit_id: The row that it names.
        at_us: Time of that row, as the link has it, µs since 1970 UTC.
        previous, digest: As stored.
        row: What is there now.
    """

    number: int
    audit_id: int
    at_us: int
    previous: bytes
    digest: bytes
    row: Row | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """One thing that does not fit.

    Attributes:
        kind: `changed`, `removed`, `reordered`, `inserted`, `replaced`, `cut`, `head` or `anchor`.
        number: Of the link; of several the first.
        last: Of several the last; else equal to `number`.
        audit_id: Of the row, 0 where it is not known.
        at_us, who, what, subject: What the row says now; of a removed one `at_us` is what its link says, else 0.
        detail: A sentence.
    """

    kind: str
    number: int
    last: int
    detail: str
    audit_id: int = 0
    at_us: int = 0
    who: str = ""
    what: str = ""
    subject: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How far a walk has come: `number` links are behind it, `digest` is what the next one has to name."""

    number: int = 0
    digest: bytes = NONE


def digest_of(previous: bytes, number: int, row: Row) -> bytes:
    """SHA-256 over a domain, the digest before, number, id, µs, and the texts with their lengths (big-endian)."""
    head = DOMAIN + previous + struct.pack(">qqq", number, row.id, row.at_us)
    texts = [each.encode() for each in (row.site, row.who, row.what, row.subject, row.detail)]
    return hashlib.sha256(head + b"".join(struct.pack(">i", len(each)) + each for each in texts)).digest()


def walk(place: Place, links: Sequence[Link]) -> tuple[Place, list[Damage]]:
    """Check links that follow a place, in the order of their numbers.

    A page's last link is checked without a look at what follows it, so that pages give what the whole would.

    Returns:
        Where it ended, and what does not fit, in order.
    """
    found: list[Damage] = []
    for link in links:
        if link.number > place.number + 1:
            found.append(_gap(place.number + 1, link.number - 1, upto=link))
        elif link.number <= place.number:
            found.append(_of(link, "inserted", "its number is there twice"))
            continue
        elif link.previous != place.digest:
            found.append(_written_anew(place.number, links, upto=link.number))
        problem = _problem(link)
        if problem is not None:
            found.append(problem)
        place = Place(number=link.number, digest=link.digest)
    return place, _told_apart(found, {each.number: each for each in links})


def _problem(link: Link) -> Damage | None:
    row = link.row
    if row is None:
        text = f"row {link.audit_id} of link {link.number} is gone"
        return Damage(
            kind="removed",
            number=link.number,
            last=link.number,
            audit_id=link.audit_id,
            at_us=link.at_us,
            detail=text,
        )
    if digest_of(link.previous, link.number, row) == link.digest:
        return None
    return _of(link, "changed", f"row {row.id} is not what link {link.number} was made of")


def _told_apart(found: Iterable[Damage], links: dict[int, Link]) -> list[Damage]:
    """Changed rows that are each other's: they changed places."""
    listed = list(found)
    changed = [links[each.number] for each in listed if each.kind == "changed"][:MOST_COMPARED]
    moved: dict[int, int] = {}
    for link in changed:
        for other in changed:
            if link is not other and link.row is not None and _is_of(link, other):
                moved[link.number] = other.number
    return [
        replace(each, kind="reordered", detail=f"the row in place {each.number} was written as {moved[each.number]}")
        if each.kind == "changed" and each.number in moved
        else each
        for each in listed
    ]


MOST_COMPARED = 200
"""Of more changed rows in a page the others are not compared with each other: they are `changed`."""


def _is_of(link: Link, other: Link) -> bool:
    """Whether the content at `link` was written as that of `other`: contents, ids with them, or whole links changed places."""
    if link.row is None or other.row is None:
        return False
    with_its_id = digest_of(other.previous, other.number, link.row) == other.digest
    under_the_others_id = digest_of(other.previous, other.number, replace(link.row, id=other.row.id)) == other.digest
    whole_link = digest_of(link.previous, other.number, link.row) == link.digest
    return with_its_id or under_the_others_id or whole_link


def _written_anew(number: int, links: Sequence[Link], *, upto: int) -> Damage:
    text = f"link {number} or one before it was written anew: link {upto} was made after another one"
    before = next((each for each in links if each.number == number), None)
    return (
        Damage(kind="replaced", number=number, last=number, detail=text)
        if before is None
        else _of(before, "replaced", text)
    )


def _gap(first: int, last: int, *, upto: Link) -> Damage:
    which = f"link {first} is" if first == last else f"links {first} to {last} are"
    text = f"{which} gone, between {'the beginning' if first == 1 else f'link {first - 1}'} and link {upto.number}"
    return Damage(kind="removed", number=first, last=last, detail=text)


def _of(link: Link, kind: str, text: str) -> Damage:
    row = link.row
    facts = {} if row is None else {"who": row.who, "what": row.what, "subject": row.subject}
    return Damage(
        kind=kind,
        number=link.number,
        last=link.number,
        audit_id=link.audit_id,
        at_us=link.at_us if row is None else row.at_us,
        detail=text,
        **facts,
    )
