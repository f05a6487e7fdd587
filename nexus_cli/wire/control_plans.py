"""Bodies of control's HTTP API about plans of deployments; rules as in `control.py`."""

from __future__ import annotations

from nexus_cli.json_value import JsonObject
from nexus_cli.wire.control import Body


class DeploymentPlan(Body, frozen=True, kw_only=True):
    """The plan of a deployment on record.

    Attributes:
        number: Of the deployment.
        text: As `nexus plan` shows it, without colours.
        note: What of it can't be computed any more; "" when it is whole.
        plan: The same as JSON, as `nexus plan --format json` gives it; None unless it was asked for.
    """

    number: int
    text: str
    note: str = ""
    plan: JsonObject | None = None
