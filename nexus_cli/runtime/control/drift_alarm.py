"""The alarms of control's own look for drift: one for each severity that counts, with that priority. Pure.

They run through the alarm system as declared ones do; control gives them the number of findings as their value.
"""

from __future__ import annotations

from collections.abc import Mapping

from nexus_cli.model.drift import DriftConfig
from nexus_cli.model.resources import AlertConfig, encode
from nexus_cli.model.snapshot import Attributes
from nexus_cli.wire.control_drift import SEVERITIES

PREFIX = "nexus-drift-"
"""Names of these alarms begin so."""
OWN = "_nexus/control/drift/"
"""Where their values belong. No tag can be there: a level never begins with `_`."""


def path_of(severity: str) -> str:
    """The path under which control gives the number of findings of a severity."""
    return OWN + severity


def drift_alarms(config: DriftConfig | None) -> Mapping[str, Attributes]:
    """The alarms by name; none without a schedule."""
    if config is None:
        return {}
    counting = SEVERITIES[: SEVERITIES.index(config.severity) + 1]
    return {
        PREFIX + severity: encode(
            AlertConfig(
                tag=path_of(severity),
                above=0,
                severity="critical" if severity == "critical" else "warning",
                priority=severity,
                description=f"The plant drifted from what is recorded: findings of severity {severity}",
                response="nexus drift shows what differs; --adopt or --revert brings it in line",
                consequence="values may be wrong or missing, and commands may reach another thing",
            )
        )
        for severity in counting
    }
