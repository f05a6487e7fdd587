"""Rules of quality of tags that others publish: worked out where their messages are read.

What is known of a tag's last values is this historian's: after a restart, or where several share the topics, the first
value that it reads is not compared with an earlier one. See docs/decisions/0093.
"""

from __future__ import annotations

from collections.abc import Iterable, Set

from msgspec.structs import replace

from nexus_cli.database.copy import FullRow
from nexus_cli.database.queries import ExternalDevice
from nexus_cli.model.chain import Bounds
from nexus_cli.model.config import QualityConfig, TagConfig
from nexus_cli.model.governed import is_number
from nexus_cli.model.judgement import REJECT, Judge, Verdict, is_worked_out
from nexus_cli.wire.sample import Quality, Reason, pack_status
from nexus_cli.wire.topic import Topics

_REASONS = {"range": Reason.OUT_OF_RANGE, "rate": Reason.RATE_OF_CHANGE, "flat": Reason.FLAT_LINE}
_GOOD, _UNCERTAIN, _BAD = int(Quality.GOOD), int(Quality.UNCERTAIN), int(Quality.BAD)


class ExternalRules:
    """Judges of the external tags that have rules.

    Attributes:
        topics: Their topics.
    """

    def __init__(self, topics: Topics) -> None:
        """Know no rule yet."""
        self._of, self._judges = topics, dict[str, tuple[TagConfig, Judge]]()

    @property
    def topics(self) -> Set[str]:
        """Topics of tags with rules."""
        return self._judges.keys()

    def load(self, devices: Iterable[ExternalDevice]) -> None:
        """Take the rules of the recorded state; what is known of tags whose rules stayed is kept."""
        before, self._judges = self._judges, {}
        for device in devices:
            for name, tag in device.ruled.items():
                rules = _of_type(tag)
                if rules is None or not (is_worked_out(rules) or rules.range):
                    continue
                topic = self._of.tag(f"{device.path}/{name}")
                known = before.get(topic)
                if known is None or known[0] != tag:
                    low, high = tag.range or (None, None)
                    known = tag, Judge(rules, Bounds(low, high))
                self._judges[topic] = known

    def judge(self, topic: str, row: FullRow) -> tuple[FullRow | None, Verdict | None]:
        """The row as it is to be stored, and the rule that it breaks; None for a row that is rejected."""
        tag, judge = self._judges[topic]
        if row.quality == _BAD:
            judge.forget()
            return row, None
        value = next((one for one in (row.value, row.exact, row.text, row.json) if one is not None), None)
        found = judge.judge(value, row.time_us)
        if found is not None and found.do == REJECT:
            return None, found
        reason = None if found is None else _REASONS[found.rule]
        if reason is None and tag.quality is not None and tag.quality.range and isinstance(value, (int, float)):
            reason = None if judge.bounds.hold(value) else Reason.OUT_OF_RANGE
        if reason is None or row.quality != _GOOD:
            return row, found
        return row._replace(quality=_UNCERTAIN, status=pack_status(reason.value, 0)), found


def _of_type(tag: TagConfig) -> QualityConfig | None:
    """The rules of a tag that mean something for its type: a bool is stored as a number, and has no rate of change."""
    rules = tag.quality
    if rules is None or not rules.rate or is_number(tag.published_type or tag.type):
        return rules
    return replace(rules, rate="")
