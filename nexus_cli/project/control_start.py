"""Why control does not answer yet, for the hint of the error. Loads no MQTT: every failure of a command comes here."""

from __future__ import annotations

import os

from nexus_cli.local.layout import home_of
from nexus_cli.local.running import read_state
from nexus_cli.settings import load_settings


def control_starts() -> str:
    """Of a control that does not answer yet: what the supervisor of this folder waits for; "" when it starts nothing."""
    if os.environ.get("NEXUS_CONTROL_URL"):
        return ""  # another one is asked
    seen = read_state(home_of(load_settings())).get("control", {})
    if seen.get("state") not in ("waiting", "starting", "backoff"):
        return ""
    detail = f" ({seen['detail']})" if seen.get("detail") else ""
    if seen["state"] == "backoff":
        return f"control ended and is started again{detail}: `nexus logs control` says why"
    return f"control is starting{detail}: try again in a few seconds; `nexus status` shows it"
