"""Dead letters: what could not be stored, with the reason; equal ones are merged, so that a flood stays one row."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from nexus_cli.access.grants import HISTORIAN
from nexus_cli.database.connect import Connection
from nexus_cli.database.deployments import write_audit
from nexus_cli.database.loss import add_dead_letter, raise_dead_letter
from nexus_cli.runtime.signed_values import REASONS

PAYLOAD_BYTES = 4096
MOST_WHOLE, SHORT_BYTES = 1_000, 200
"""So many letters of a batch keep their payload, further ones its beginning: a batch may refuse 20,000 samples."""
FOLD_S = 600.0
"""Letters with the same topic and reason within this time are counted in one row, in seconds."""
MOST_REMEMBERED = 10_000
MOST_AUDITED = 100
"""Refused signatures that enter the audit trail within `FOLD_S`; all of them are dead letters."""


@dataclass(slots=True)
class DeadLetter:
    """Messages of one topic that could not be stored for one reason."""

    detail: str
    payload: str
    count: int


def readable(payload: bytes) -> str:
    """Bytes as text that PostgreSQL accepts: NUL and bytes that are not UTF-8 as `\\xNN`, at most 4 KiB."""
    text = payload[:PAYLOAD_BYTES].decode("utf-8", errors="backslashreplace")
    return text.replace("\x00", "\\x00")[:PAYLOAD_BYTES]


def plain(text: str) -> str:
    """Text that PostgreSQL accepts: NUL and lone surrogates are escaped."""
    if "\x00" in text or not text.isascii():
        return text.replace("\x00", "\\x00").encode("utf-8", errors="backslashreplace").decode()
    return text


def shown(part: object) -> bytes:
    """A part of a message as JSON for a letter; if that is impossible its Python form, else only its type."""
    try:
        return msgspec.json.encode(part)
    except (ValueError, TypeError, RecursionError):
        pass
    try:
        return repr(part).encode("utf-8", errors="backslashreplace")
    except (ValueError, RecursionError):  # nested too deeply
        return type(part).__name__.encode()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an item of a gateway is refused: custody of its number is taken, so that it is not sent again, and a dead
    letter is written.

    Attributes:
        reason: One word, as in the dead letters.
        detail: What is wrong, for people.
        topic: Where it came from.
        payload: The received bytes.
        count: How many samples are refused.
        hole: Device whose samples are missing for it; "" when nothing is missing, or its gateway declares it.
    """

    reason: str
    detail: str
    topic: str
    payload: bytes
    count: int = 1
    hole: str = ""


class DeadLetters:
    """Letters of one batch, folded by topic and reason; the first one's detail and payload are kept."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        """Start empty."""
        self._found: dict[tuple[str, str], DeadLetter] = {}

    def __len__(self) -> int:
        return len(self._found)

    @property
    def count(self) -> int:
        """How many there are, folded ones included."""
        return sum(letter.count for letter in self._found.values())

    def add(self, topic: str, reason: str, *, detail: str, payload: bytes, count: int = 1) -> None:
        """Add a letter.

        Args:
            topic: Where it came from.
            reason: One word: `not_a_frame`, `unknown_series`, `type_mismatch`, …
            detail: What is wrong, for people.
            payload: What was received, or the part of it that matters.
            count: How many samples or messages it counts.
        """
        topic = plain(topic)
        letter = self._found.get((topic, reason))
        if letter is None:
            part = payload if len(self._found) < MOST_WHOLE else payload[:SHORT_BYTES]
            self._found[(topic, reason)] = DeadLetter(plain(detail)[:1000], readable(part), count)
        else:
            letter.count += count

    def refuse(self, refusals: Iterable[tuple[object, Refusal]]) -> None:
        """Add a letter for everything that is set aside."""
        for _, each in refusals:
            self.add(each.topic, each.reason, detail=each.detail, payload=each.payload, count=each.count)

    def merge(self, other: DeadLetters) -> None:
        """Take over another batch's letters."""
        for (topic, reason), letter in other.items():
            mine = self._found.get((topic, reason))
            if mine is None:
                self._found[(topic, reason)] = DeadLetter(letter.detail, letter.payload, letter.count)
            else:
                mine.count += letter.count

    def clear(self) -> None:
        """Drop them, once they are stored or merged."""
        self._found.clear()

    def items(self) -> Iterator[tuple[tuple[str, str], DeadLetter]]:
        """`((topic, reason), letter)` of each."""
        yield from self._found.items()


class DeadLetterStore:
    """Writes letters; remembers the row of each (topic, reason) for a while and raises its count."""

    def __init__(self, *, site: str) -> None:
        """Letters of one site."""
        self._site = site
        self._rows: dict[tuple[str, str], tuple[int, float]] = {}
        self._audited: deque[float] = deque()

    async def store(self, conn: Connection, letters: DeadLetters, *, now_s: float) -> None:
        """Store letters; part of the caller's transaction. A row that has vanished is written again later.

        Args:
            conn: A connection in a transaction.
            letters: What to store.
            now_s: Monotonic seconds.
        """
        for (topic, reason), letter in letters.items():
            known = self._rows.get((topic, reason))
            if (
                known is not None
                and now_s - known[1] < FOLD_S
                and await raise_dead_letter(conn, number=known[0], topic=topic, reason=reason, count=letter.count)
            ):
                continue
            if len(self._rows) >= MOST_REMEMBERED:
                self._rows.clear()
            number = await add_dead_letter(
                conn,
                site=self._site,
                topic=topic,
                reason=reason,
                detail=letter.detail,
                payload=letter.payload,
                count=letter.count,
            )
            self._rows[(topic, reason)] = (number, now_s)
            if reason in REASONS and self._on_record(now_s):
                detail = {"reason": reason, "detail": letter.detail, "dead_letter": number}
                path = topic.removeprefix(f"{self._site}/")
                await write_audit(conn, self._site, who=HISTORIAN, what="refused-message", subject=path, detail=detail)

    def _on_record(self, now_s: float) -> bool:
        """Whether one more refusal goes into the audit trail: in a flood only the first ones do."""
        while self._audited and now_s - self._audited[0] >= FOLD_S:
            self._audited.popleft()
        if len(self._audited) >= MOST_AUDITED:
            return False
        self._audited.append(now_s)
        return True
