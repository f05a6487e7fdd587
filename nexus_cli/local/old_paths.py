"""Old paths under which values are still published (`keep_old_for`), as control says: for `nexus status`."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.local.status_report import DOWN, OldPathReport, RoleReport
from nexus_cli.settings import Settings
from nexus_cli.wire.control_aliases import Alias

TIMEOUT_S = 5.0


async def old_paths(settings: Settings, control: RoleReport | None) -> list[OldPathReport] | UnsetType:
    """Those that have not ended, by old path; unset where control does not say, or not to this user."""
    if control is None or control.state == DOWN or control.mute or not settings.control_url:
        return UNSET
    from nexus_cli.wire.http import ControlClient  # noqa: PLC0415 - it loads httpx, which a status without a runtime never needs

    try:
        async with ControlClient(settings, timeout_s=TIMEOUT_S) as client:
            return published((await client.state()).aliases)
    except NexusError:
        return UNSET


def published(aliases: list[Alias]) -> list[OldPathReport]:
    """Those that have not ended."""
    return [OldPathReport(old=each.old, to=each.to, until=each.until) for each in aliases if each.left_us]
