"""Units as vendors write them, in the spelling of the site language."""

from __future__ import annotations

import re

from nexus_cli.model.quantities import choices, in_table, known
from nexus_cli.model.units import SPELLINGS


def unit_of(written: str) -> str:
    """The unit in our spelling, or "" when it can't be converted by anything here, or is ambiguous."""
    text = re.sub(r"\s+", " ", written.strip().replace("Â", ""))
    if not text:
        return ""
    if (listed := in_table(text)) != "-":  # before the letters' size is lost: mWh is not MWh
        return listed
    spelled = SPELLINGS.get(text.lower(), text)
    return spelled if known(spelled) else ""


def problem_of(written: str) -> str:
    """Why `unit_of` has none."""
    if may_be := choices(written.strip()):
        return f"the unit '{written}' may mean {' or '.join(may_be)}"
    return f"the unit '{written}' is unknown"
