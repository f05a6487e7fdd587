"""Statistics of a tag as text. Pure."""

from __future__ import annotations

from datetime import datetime

from nexus_cli.cli.console import style
from nexus_cli.cli.views.clock import short
from nexus_cli.cli.views.escaped import escaped
from nexus_cli.history.document import Sample
from nexus_cli.history.statistics import Statistics


def text(found: Statistics, *, colour: bool = False) -> str:
    """One line a number."""
    found = escaped(found)
    unit = f" {found.unit}" if found.unit else ""
    lines = [style(f"{found.path}: {_clock(found.since)} to {_clock(found.until)}", "bold", enabled=colour)]
    if found.begins != found.since:
        lines.append(f"  begins            {_clock(found.begins)}: what was before is not to be compared")
    if not found.count:
        lines.append("  samples           none")
    else:
        share = 0.0 if found.good_share is None else found.good_share
        lines.append(f"  samples           {found.count:,}, {_percent(share)} GOOD")
    for name, value in (
        ("minimum", found.minimum),
        ("maximum", found.maximum),
        ("mean", found.mean),
        ("over time", found.time_weighted_mean),
        ("deviation", found.stddev),
    ):
        if value is not None:
            lines.append(f"  {name:<17} {_number(value)}{unit}")
    for name, sample in (("first", found.first), ("last", found.last)):
        if sample is not None:
            lines.append(f"  {name:<17} {_sample(sample, unit)}")
    lines.append(f"  had a value       {_percent(found.covered_share)} of the time")
    if found.left_out:
        lines.append(style(f"  mean and deviation are left out: {found.left_out}", "dim", enabled=colour))
    return "\n".join(lines)


def _sample(sample: Sample, unit: str) -> str:
    label = f" ({sample.label})" if sample.label is not None else ""
    own = unit if sample.unit is None else f" [{sample.unit or 'no unit'}]"
    return f"{_number(sample.value)}{label}{own} at {_clock(sample.time)}"


def _number(value: object) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _percent(share: float) -> str:
    """Three digits; 100 % only where nothing is missing."""
    shown = f"{share * 100:.3g}"
    return f"{'> 99.9' if shown == '100' and share < 1 else shown} %"


def _clock(moment: str) -> str:
    return short(datetime.fromisoformat(moment))
