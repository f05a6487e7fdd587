"""The rules of quality of a device's tags, and what they rejected until it is handed to the historian.

See docs/decisions/0093.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from nexus_cli.model.judgement import REJECT, Judge
from nexus_cli.runtime.gateway.devices.tag_chain import RuledChain
from nexus_cli.runtime.gateway.devices.tag_table import TagTable
from nexus_cli.wire.frame import Letter
from nexus_cli.wire.sample import Quality, Reason

REASON_OF_RULE = {
    "range": Reason.OUT_OF_RANGE,
    "rate": Reason.RATE_OF_CHANGE,
    "flat": Reason.FLAT_LINE,
    "missing": Reason.MISSING,
}


class AddLetter(Protocol):
    """The outbox, as far as it is needed here."""

    def add_letter(self, letter: Letter, *, device: str, start_us: int, end_us: int) -> bool:
        """Hand rejected values on; False when that is not possible now."""
        ...


@dataclass(slots=True)
class _Rejected:
    """Values of one tag that one rule rejected: the first one, and how many."""

    value: Any
    detail: str
    first_us: int
    last_us: int
    count: int


class QualityWatch:
    """Judges of the tags that have rules. False when there are none.

    Attributes:
        rejected: Values that were rejected.
    """

    __slots__ = ("_judges", "_letters", "_table", "rejected")

    def __init__(self, table: TagTable) -> None:
        """Find the tags with rules."""
        self._table = table
        self._judges = {
            at: Judge(
                chain.rules, chain.limits, held_us=0 if _is_polled(table, at) else table.configs[at].poll_ms * 1000
            )
            for at, chain in enumerate(table.chains)
            if isinstance(chain, RuledChain) and chain.rules is not None
        }
        self._letters: dict[tuple[int, str], _Rejected] = {}
        self.rejected = 0

    def __bool__(self) -> bool:
        return bool(self._judges)

    def judge(self, at: int, value: Any, now_us: int) -> tuple[bool, Reason | None]:
        """Whether a value of a tag with rules is kept, and why it is in doubt."""
        judge = self._judges[at]
        found = judge.judge(value, now_us)
        if found is None:
            inside = not isinstance(value, (int, float)) or judge.bounds.hold(value)
            return True, None if inside else Reason.OUT_OF_RANGE
        if found.do != REJECT:
            return True, REASON_OF_RULE[found.rule]
        self.rejected += 1
        letter = self._letters.get((at, found.rule))
        if letter is None:
            self._letters[(at, found.rule)] = _Rejected(value, found.detail, now_us, now_us, 1)
        else:
            letter.count += 1
            letter.last_us = now_us
        return False, None

    def forget(self, at: int) -> None:
        """The tag became BAD."""
        judge = self._judges.get(at)
        if judge is not None:
            judge.forget()

    def overdue(self, now_us: int) -> Iterator[tuple[int, Reason]]:
        """Tags whose last value stands for too long, or was not followed by another, and is not marked so yet."""
        table = self._table
        for at, judge in self._judges.items():
            if table.qualities[at] == Quality.BAD or not table.times[at]:
                continue
            reason = table.state(at).reason
            if judge.is_missing(now_us):
                if reason in (None, Reason.FLAT_LINE):
                    yield at, Reason.MISSING
            elif reason is None and judge.is_flat(now_us):
                yield at, Reason.FLAT_LINE

    def send(self, outbox: AddLetter, *, most: int) -> int:
        """Hand on what was rejected; gives how many letters were taken. What is not taken waits."""
        sent = 0
        for (at, rule), one in list(self._letters.items()):
            if sent >= most:
                break
            letter = Letter(tag=self._table.names[at], rule=rule, detail=one.detail, value=one.value, count=one.count)
            if not outbox.add_letter(letter, device=self._table.device, start_us=one.first_us, end_us=one.last_us):
                break
            del self._letters[(at, rule)]
            sent += 1
        return sent


def _is_polled(table: TagTable, at: int) -> bool:
    return bool(table.configs[at].mode == "poll" and not table.configs[at].expr)
