"""The list of what was adopted and what was not: one entry for each thing that came in. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

State = Literal["adopted", "present", "left"]
ADOPTED: State = "adopted"
PRESENT: State = "present"
LEFT: State = "left"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that came in.

    Attributes:
        what: A rule, a user or a topic, as its source has it.
        state: `adopted`, `present` (the site has it already) or `left`.
        becomes: What it is in the site; "" of what is left.
        reason: Why it is left, or what of it is.
    """

    what: str
    state: State
    becomes: str = ""
    reason: str = ""


def counts(entries: Sequence[Entry]) -> dict[str, int]:
    """How many came in, and what became of them: `found` is the sum of the others."""
    found = Counter(entry.state for entry in entries)
    return {"found": len(entries), **{state: found[state] for state in (ADOPTED, PRESENT, LEFT)}}
