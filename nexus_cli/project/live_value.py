"""One message of a tag topic, as people see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """One message of a tag topic; of any other topic `value` is its JSON, or its text.

    Attributes:
        topic: Where it was published.
        path: Below the site, or the topic itself when it is elsewhere.
        timestamp: Milliseconds since 1970 UTC, or None.
        quality: `GOOD`, `UNCERTAIN`, `BAD`, or "".
        retained: True when the broker had kept it from before.
    """

    topic: str
    path: str
    value: Any
    quality: str = ""
    timestamp: int | None = None
    unit: str = ""
    label: str = ""
    reason: str = ""
    retained: bool = False

    def to_json(self) -> dict[str, object]:
        """As plain JSON without empty facts (value and quality are always there)."""
        facts = {"path": self.path, "topic": self.topic, "value": self.value, "quality": self.quality}
        more = {"timestamp": self.timestamp, "unit": self.unit, "label": self.label, "reason": self.reason}
        return {**facts, **{name: fact for name, fact in more.items() if fact}, "retained": self.retained}
