"""Live values as lines of text."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import orjson

from nexus_cli.cli.console import style
from nexus_cli.cli.views.status import age_text
from nexus_cli.diagnostics.printable import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nexus_cli.project.live_value import Live

COLOURS = {"GOOD": "good", "UNCERTAIN": "warning", "BAD": "error"}
SHORTEST_PATH = 36
LONGEST_VALUE = 200
BEHIND_S = 1.0
REPORT_S = 2.0


class TailView:
    """Lines under each other: the path column grows with the longest path seen.

    Attributes:
        colour: Whether quality is coloured.
    """

    def __init__(self, *, colour: bool) -> None:
        self.colour = colour
        self._width = SHORTEST_PATH

    def line(self, live: Live, *, now_s: float | None = None) -> str:
        """One message."""
        now = time.time() if now_s is None else now_s
        self._width = max(self._width, len(live.path))
        path, unit = one_line(live.path), one_line(live.unit)
        facts = [f"{path:{self._width}}", f"{value_text(live.value)} {unit}".rstrip().rjust(14)]
        if live.label:
            facts.append(f"({one_line(live.label)})")
        if live.quality:
            facts.append(style(one_line(live.quality), COLOURS.get(live.quality, "warning"), enabled=self.colour))
        if live.reason:
            facts.append(one_line(live.reason))
        dim = [f"{age_text(now - live.timestamp / 1000)} old"] if live.timestamp is not None else []
        dim += ["retained"] if live.retained else []
        if dim:
            facts.append(style(", ".join(dim), "dim", enabled=self.colour))
        return "  ".join(facts)


class BehindView:
    """Reports from time to time whether the reader keeps up: age of the newest shown value, and dropped messages."""

    def __init__(self) -> None:
        self._reported_s = float("-inf")
        self._dropped = 0
        self._behind = False

    def text(self, live: Live, *, waiting: int, dropped: int, now_s: float) -> str:
        """The line after a message was shown; "" for nothing new, at most one sentence in `REPORT_S`.

        Args:
            live: The newest one shown.
            waiting: Messages that wait to be shown.
            dropped: Messages left out so far.
            now_s: Seconds since 1970 UTC.
        """
        age_s = 0.0 if live.timestamp is None or live.retained else now_s - live.timestamp / 1000
        behind = waiting > 0 and age_s >= BEHIND_S
        if not behind and dropped == self._dropped:
            if self._behind and not waiting:
                self._behind = False
                return "up to date again"
            return ""
        if now_s - self._reported_s < REPORT_S:
            return ""
        lost = dropped - self._dropped
        self._reported_s, self._dropped, self._behind = now_s, dropped, True
        return behind_text(age_s, waiting=waiting, lost=lost)

    def last(self, *, dropped: int) -> str:
        """The line at the end, about losses that were not reported yet."""
        lost = dropped - self._dropped
        return f"{lost:,} messages were left out: newer ones came faster than they could be shown" if lost else ""


def behind_text(age_s: float, *, waiting: int, lost: int) -> str:
    """One sentence about a reader that is slower than the messages arrive."""
    left_out = f", {lost:,} were left out for newer ones" if lost else ""
    return f"behind by {age_text(max(0.0, age_s))}: {waiting:,} messages wait{left_out}"


def nothing_text(filters: Sequence[str], passed_over: int, *, near: str = "") -> str:
    """The line when nothing was shown: because of the condition, or because nothing is published there.

    Args:
        filters: As given on the command line.
        passed_over: Messages that arrived and did not meet the conditions.
        near: What to write instead, where it is known.
    """
    if passed_over:
        messages = "message" if passed_over == 1 else "messages"
        return f"nothing to show: {passed_over} {messages} came, and none fulfils the condition"
    where = " or ".join(f"'{each}'" for each in filters) or "any topic of the site"
    if near:
        return f"nothing came on {where}: {near}"
    return (
        f"nothing came on {where}: is it spelt right, and applied? `nexus show` lists what is, `nexus status` how it is"
    )


def waiting_text(count: int) -> str:
    """What to say when none of `count` requested messages has come yet."""
    awaited = "the first message" if count == 1 else f"the first of {count} messages"
    return f"still waiting for {awaited}; Ctrl-C ends it"


def value_text(value: Any) -> str:
    """A value for people: floats with six significant digits, structures as JSON, long ones cut."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if value is None:
        return "-"
    text = one_line(value if isinstance(value, str) else orjson.dumps(value).decode())
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"
