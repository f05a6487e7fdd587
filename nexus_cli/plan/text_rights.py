"""The section of a plan about rights: who may do what that they could not before, and the reverse."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from nexus_cli.access.gain_words import NO_LONGER, NOW, gain_sentence, some
from nexus_cli.plan.document import PlanDocument

MOST_RIGHTS = 40
"""Sentences that are shown one by one; more are counted."""


def rights_lines(plan: PlanDocument, style: Callable[[str, str], str]) -> Iterator[str]:
    """The section with its heading; nothing when no rights change, or in a plan of an older version."""
    sentences = []
    for each in plan.get("rights", ()):
        who = some(each["principals"])
        for mark, word, names in (("+", NOW, each["gained"]), ("-", NO_LONGER, each["lost"])):
            if names:
                text = gain_sentence(who, each["action"], each["kind"], names, word)
                sentences.append(f"  {style(mark, 'warning' if mark == '+' else 'good')} {text}")
    if not sentences:
        return
    yield ""
    yield style("Rights:", "bold")
    yield from sentences[:MOST_RIGHTS]
    if len(sentences) > MOST_RIGHTS:
        yield f"    … and {len(sentences) - MOST_RIGHTS:,} more (--format json shows all)"
    for stale in plan.get("sessions", ()):
        yield style(f"    live sessions of {some(stale['principals'])} on {stale['broker']} {stale['text']}", "dim")
