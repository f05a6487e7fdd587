"""The blocks of a plan's text about what was measured, what was tried, and what is not known."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from nexus_cli.plan.document import PlanDocument
from nexus_cli.plan.measured import measured_lines
from nexus_cli.plan.probed import probe_lines

MOST_LINES = 20


def measured_blocks(plan: PlanDocument, style: Callable[[str, str], str]) -> Iterator[str]:
    """Each block with an empty line before it; nothing of a plan without them."""
    yield from _block("Measured:", list(measured_lines(plan.get("measured"))), style)
    if "probe" in plan:
        yield from _block("Trial read:", list(probe_lines(plan["probe"])) or ["no address is new or changed"], style)
    entries = plan.get("unreachable", [])
    refused = [each["text"] for each in entries if each["refused"]]
    yield from _block("Can't be applied now:", refused, style)
    yield from _block("Not reached now:", [each["text"] for each in entries if not each["refused"]], style)
    yield from _block("Not known:", plan.get("unknowns", []), style)


def _block(title: str, lines: list[str], style: Callable[[str, str], str]) -> Iterator[str]:
    if not lines:
        return
    yield ""
    yield style(title, "bold")
    yield from (f"  {line}" for line in lines[:MOST_LINES])
    if len(lines) > MOST_LINES:
        yield f"  … and {len(lines) - MOST_LINES:,} more (--format json shows all)"
