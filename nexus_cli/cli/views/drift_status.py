"""The line of `nexus status` about control's look for drift. Pure."""

from __future__ import annotations

from nexus_cli.cli.views.escaped import escaped
from nexus_cli.diagnostics.wording import counted
from nexus_cli.local.status_report import StatusReport
from nexus_cli.wire.health import ControlHealth, DriftHealth, decode_status


def drift_lines(found: StatusReport, now_s: float) -> list[str]:
    """What the newest look found; nothing without a schedule, or while control does not answer."""
    said = next((bytes(role.status) for role in found.roles if role.name == "control"), b"")
    health = decode_status(said, ControlHealth).drift
    if not isinstance(health, DriftHealth):
        return []
    return ["", f"  drift: {words_of(escaped(health), now_s)}"]


def words_of(health: DriftHealth, now_s: float) -> str:
    """The look in words."""
    if not health.looked:
        return health.problem or "not looked for yet"
    many = ", ".join(f"{count} {severity}" for severity, count in health.findings.items() if count)
    unknown = f", {counted(health.unknown, 'part')} not known" if health.unknown else ""
    minutes = max(0, int((now_s - health.looked / 1e6) // 60))
    late = f"; {health.problem}" if health.problem else ""
    return f"{many or 'none'}{unknown}, looked {minutes} min ago{late}" + ("; nexus drift shows it" if many else "")
