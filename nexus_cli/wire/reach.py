"""The blast radius of templates and defaults, as a plan from files sends it with its deployment, and control keeps it.

Control can't compute it: what is recorded names neither. It is for reading alone; nothing is decided by it.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

MOST_DEVICES = 100_000
MOST_PLACES = 1_000
"""Templates, and places with defaults, of one plan; of more the first ones are sent."""

_PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f]*$"
Word = Annotated[str, msgspec.Meta(max_length=500, pattern=_PRINTABLE)]
Count = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]


class SentReach(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to the devices that one text reaches; fields as of `plan.reach.Reached`."""

    devices: Annotated[list[Word], msgspec.Meta(max_length=MOST_DEVICES)]
    unchanged: Count
    tags: Count
    actions: Annotated[dict[Word, Count], msgspec.Meta(max_length=10)]
    restarts: Count = 0


class SentTemplate(SentReach, frozen=True, kw_only=True):
    """Of one template."""

    template: Word


class SentDefaults(SentReach, frozen=True, kw_only=True):
    """Of one place; fields as of `plan.defaults.DefaultsReach`."""

    level: Word
    path: Word
    keys: Annotated[list[Word], msgspec.Meta(max_length=1_000)]


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """Both, in the order in which the plan shows them."""

    templates: Annotated[list[SentTemplate], msgspec.Meta(max_length=MOST_PLACES)] = []
    defaults: Annotated[list[SentDefaults], msgspec.Meta(max_length=MOST_PLACES)] = []
