"""How many examples the laws of hypothesis are tried with: enough for every run, and as many more as somebody asks for.

`NEXUS_EXAMPLES=10` tries ten times as many. With CI set the examples are the same in every run; elsewhere each run looks
somewhere new, and what it finds is kept below `.hypothesis`.
"""

from __future__ import annotations

import os


def examples(default: int) -> int:
    """How many examples to try where `default` of them are enough."""
    return max(1, round(default * float(os.environ.get("NEXUS_EXAMPLES") or 1)))
