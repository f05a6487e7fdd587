"""Why an alert is as it is now: its condition, the values that it goes by, what runs, and who suppresses it."""

from __future__ import annotations

from nexus_cli.alarms.conditions import Holds, words_of
from nexus_cli.alarms.machine import HOLDING
from nexus_cli.alarms.panel import Now, Panel
from nexus_cli.alarms.silence import Silence
from nexus_cli.alarms.stored import facts_of
from nexus_cli.alarms.values import shown
from nexus_cli.wire.control_alarms import AlertWhy, JournalLine, Notified, Running, Watched


def why(panel: Panel, name: str, now: Now, journal: list[JournalLine], notified: list[Notified]) -> AlertWhy:
    """All of it; `journal` are its last lines, `notified` the messages of its newest occurrence."""
    alert = panel.alerts[name]
    watched: list[Watched] = []
    for path in alert.config.paths():
        one = panel.reading(path)
        watched.append(
            Watched(path=path)
            if one is None
            else Watched(
                path=path,
                value=shown(one.value),
                quality=one.quality.name,
                label=one.label if isinstance(one.label, str) else "",
                out_of_service=one.out,
            )
        )
    missing = [one.path for one in watched if not one.quality]
    problem = alert.condition.problem if isinstance(alert.condition, Holds) else ""
    if not problem and missing and not isinstance(alert.condition, Silence):
        problem = f"no value came of {', '.join(missing)}"
    return AlertWhy(
        alert=facts_of(name, alert),
        condition=words_of(alert.config).text,
        holds=alert.condition.verdict(active=alert.state in HOLDING, at_s=now.s),
        problem=problem,
        watched=watched,
        running=_running(panel, name, now),
        suppressors={
            other: panel.alerts[other].state.value if other in panel.alerts else "not declared"
            for other in alert.config.suppressed_by
        },
        journal=journal,
        notified=notified,
    )


def _running(panel: Panel, name: str, now: Now) -> list[Running]:
    alert, found = panel.alerts[name], []
    if alert.pending is not None:
        found.append(("on-delay", alert.pending.began_s + alert.config.for_ms / 1000))
    if alert.clearing is not None:
        found.append(("off-delay", alert.clearing.began_s + alert.config.clear_after_ms / 1000))
    if alert.shelf is not None:
        found.append(("shelf", alert.shelf.ends_s))
    condition = alert.condition
    if isinstance(condition, Silence) and condition.since_s is not None and alert.state not in HOLDING:
        found.append(("silence", condition.since_s + condition.limit_s))
    return [Running(what=what, left_s=round(max(0.0, ends_s - now.s), 1)) for what, ends_s in found]
