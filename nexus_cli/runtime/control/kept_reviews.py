"""Reviews of deployments on record that were computed: a page of one is cut from it, and not computed again.

The review of a site of 40,000 changed tags takes seconds of a processor, whichever part of it is asked for. What it says
depends on what is recorded alone, so it holds until a deployment records something. It is kept compressed, in pieces of as many
changes as a page asks for.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from nexus_cli.wire.control_plans import DeploymentReview, ReviewedChange

MOST_BYTES = 64 * 2**20
"""All that is kept, compressed; the one that was asked for longest ago goes first."""
MOST_REVIEWS = 32
PIECE = 50
"""Changes of one compressed piece."""
_LEVEL = 1
"""Of compression: lines of changes repeat themselves, and a higher level takes longer than to read the record."""
_head = msgspec.json.Decoder(DeploymentReview)
_piece = msgspec.json.Decoder(list[ReviewedChange])


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewKey:
    """What the review of a deployment depends on.

    Attributes:
        number: Of the deployment.
        recorded: Numbers of all that recorded something: from these the state before it is computed. One before it may be
            taken up again later.
        digest: Of what it was to record.
    """

    number: int
    recorded: tuple[int, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class KeptReview:
    """A whole review, compressed: all but the changes, and the changes piece by piece."""

    head: bytes
    pieces: tuple[bytes, ...]

    @property
    def size_bytes(self) -> int:
        """Of what is kept."""
        return len(self.head) + sum(map(len, self.pieces))

    def page(self, offset: int, limit: int) -> DeploymentReview:
        """The changes from `offset` on, at most `limit`, and what all of it does; the text with the first ones alone."""
        head = _head.decode(zlib.decompress(self.head))
        first = offset // PIECE
        last = (offset + limit - 1) // PIECE
        changes = [one for piece in self.pieces[first : last + 1] for one in _piece.decode(zlib.decompress(piece))]
        skipped = offset - first * PIECE
        return msgspec.structs.replace(
            head, text="" if offset else head.text, offset=offset, changes=changes[skipped : skipped + limit]
        )


def kept_review(whole: DeploymentReview) -> KeptReview:
    """Compress a review with all of its changes."""
    starts = range(0, len(whole.changes), PIECE)
    return KeptReview(
        _packed(msgspec.structs.replace(whole, changes=[])),
        tuple(_packed(whole.changes[start : start + PIECE]) for start in starts),
    )


class KeptReviews:
    """The reviews that were asked for last, in no more memory than `MOST_BYTES`."""

    def __init__(self, *, most_bytes: int = MOST_BYTES, most_reviews: int = MOST_REVIEWS) -> None:
        """None yet."""
        self._most_bytes, self._most_reviews = most_bytes, most_reviews
        self._kept: OrderedDict[ReviewKey, KeptReview] = OrderedDict()
        self.size_bytes = 0

    def find(self, key: ReviewKey) -> KeptReview | None:
        """The review of a deployment as it is on record now; None when it has to be computed."""
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def keep(self, key: ReviewKey, review: KeptReview) -> None:
        """Keep it; one that is larger than all that may be kept is not."""
        for old in [each for each in self._kept if each.number == key.number]:
            self._drop(old)
        if review.size_bytes > self._most_bytes:
            return
        self._kept[key] = review
        self.size_bytes += review.size_bytes
        while self.size_bytes > self._most_bytes or len(self._kept) > self._most_reviews:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: ReviewKey) -> None:
        self.size_bytes -= self._kept.pop(key).size_bytes


def _packed(value: DeploymentReview | Sequence[ReviewedChange]) -> bytes:
    return zlib.compress(msgspec.json.encode(value), _LEVEL)
