"""Retained topics without an owner as text. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from nexus_cli.diagnostics.printable import one_line
from nexus_cli.wire.control_steering import Cleared

if TYPE_CHECKING:
    from nexus_cli.project.retained import Kept

Style = Callable[[str, str], str]


def kept_text(found: Sequence[Kept], *, style: Style) -> str:
    """One topic each."""
    if not found:
        return "every retained topic of the site has an owner"
    lines = [f"{one_line(one.topic)}  {style(f'{one.size} bytes', 'dim')}" for one in found]
    return "\n".join([*lines, f"{len(found)} topics; `nexus retained clear TOPIC` clears one"])


def cleared_text(found: Cleared, *, style: Style) -> str:
    """What was or would be cleared, and what is refused."""
    word = "would be cleared" if found.preview else "cleared"
    lines = [f"{style(word, 'warning' if found.preview else 'good')}  {one_line(topic)}" for topic in found.cleared]
    lines += [f"{style('refused', 'error')}  {one_line(one.topic)}: {one.why}" for one in found.refused]
    return "\n".join(lines) or "nothing is kept there"
