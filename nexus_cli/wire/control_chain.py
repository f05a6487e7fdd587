"""Bodies of control's API about the digest chain of the audit trail.

See docs/decisions/0096.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from nexus_cli.wire.control import Body, Question

MOST_ANCHORS = 10_000
"""Of one page: as many as it has links."""
Hex = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Number = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]


class ChainQuestion(Question, frozen=True, kw_only=True):
    """Check one page of the chain.

    Attributes:
        number, digest: Where the page before ended; the beginning without them.
        anchors: Digests by number that were kept elsewhere.
        limit: Links of the page.
    """

    number: Number = 0
    digest: Hex = "0" * 64
    anchors: Annotated[dict[str, Hex], msgspec.Meta(max_length=MOST_ANCHORS)] = {}
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 10_000


class ChainHead(Body, frozen=True, kw_only=True):
    """The newest link.

    Attributes:
        number, digest: Its place and SHA-256 in hexadecimal digits; 0 and zeros where nothing is on record.
        at: When it was made, µs since 1970 UTC.
        adopted: The first so many rows were on record before the chain was.
    """

    number: int = 0
    digest: str = "0" * 64
    at: int = 0
    adopted: int = 0


class ChainDamage(Body, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that does not fit.

    Attributes:
        kind: `changed`, `removed`, `reordered`, `inserted`, `replaced` (its digest was computed again), `cut` (at the end),
            `head` or `anchor`.
        number, last: Of the link; of several the first and the last. 0: a row without a link.
        detail: A sentence.
        audit_id: Of the row; 0 when unknown.
        at: Time of the row, µs since 1970 UTC; 0 when unknown.
        who, what, subject: As the row says now; "" where it is gone.
    """

    kind: str
    number: int
    last: int
    detail: str
    audit_id: int = 0
    at: int = 0
    who: str = ""
    what: str = ""
    subject: str = ""


class ChainPage(Body, frozen=True, kw_only=True):
    """A checked page.

    Attributes:
        number, digest: Where it ended: the next page begins there.
        end: Whether the chain ends there.
        head: As the head has it; None: it is gone, or nothing was ever on record.
        damages: What does not fit, in order.
    """

    number: int
    digest: str
    end: bool
    head: ChainHead | None = None
    damages: list[ChainDamage] = []
