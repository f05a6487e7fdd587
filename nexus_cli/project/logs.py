"""The verb of `nexus logs`: where the logs of the parts lie."""

from __future__ import annotations

from pathlib import Path

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.exit_codes import Exit
from nexus_cli.local.layout import home_of
from nexus_cli.settings import load_settings


def log_files(part: str | None) -> dict[str, Path]:
    """Log files by part, all of them or one.

    Raises:
        NexusError: NX6514, there is no log (exit code 6), or none of this part (1); the hint names those there are.
    """
    home = home_of(load_settings())
    found = {path.stem: path for path in sorted(home.logs.glob("*.log"))}
    if part is None and found:
        return found
    if part is not None:
        for name in (part, f"gateway-{part}"):
            if name in found:
                return {name: found[name]}
    raise NexusError(
        f"There is no log of '{part}' in {home.logs}." if part else f"There are no logs in {home.logs}.",
        code="NX6514",
        hint=did_you_mean(part, found) if found else "`nexus up SITE` starts the runtime",
        exit_code=Exit.FINDINGS if found else Exit.OUTSIDE,
    )
