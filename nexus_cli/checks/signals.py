"""Simulated signals: do they say enough?"""

from __future__ import annotations

from collections.abc import Iterator

from nexus_cli.checks.view import View
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic
from nexus_cli.model.site import Calculated

_NEEDS = {"constant": "value", "steps": "values", "csv": "file"}


def simulation_incomplete(view: View) -> Iterator[Diagnostic]:
    """NX2116."""
    for tag in view.tags:
        if isinstance(tag.tag, Calculated) or tag.tag.simulate is None:
            continue
        signal = tag.tag.simulate
        where = (*tag.where, "simulate")
        need = _NEEDS.get(signal.signal)
        if need is not None and getattr(signal, need) in (None, [], ""):
            yield finding("NX2116", f"the signal '{signal.signal}' needs '{need}'", where=where, hint=f"{need}: …")
        if signal.low is not None and signal.high is not None and signal.low > signal.high:
            message = f"low {signal.low:g} is above high {signal.high:g}"
            yield finding("NX2116", message, where=(*where, "low"), hint="exchange them")
        if signal.period == 0:
            yield finding("NX2116", "a period of 0 has no signal", where=(*where, "period"), hint="period: 60s")


CHECKS = (simulation_incomplete,)
