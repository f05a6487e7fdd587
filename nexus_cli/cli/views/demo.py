"""The demo's summary as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus_cli.cli.console import style
from nexus_cli.cli.views.status import age_text, broker_limits
from nexus_cli.model.secrets import without_passwords

if TYPE_CHECKING:
    from nexus_cli.project.demo import Summary

MOST_MISSING = 20


def render_summary(found: Summary, *, colour: bool) -> str:
    """The result of the demo, and the addresses of its parts."""
    runtime = found.runtime
    whole = not found.missing
    title = f"{found.site}: every tag arrived" if whole else f"{found.site}: {len(found.missing)} tag(s) did not arrive"
    lines = [
        style(title, "good" if whole else "error", enabled=colour),
        "",
        f"  devices        {found.devices} on {found.links} links",
        f"  tags           {found.tags}",
        f"  samples/s      {found.samples_per_s:.1f} stored",
        f"  rows           {found.rows}",
        f"  newest sample  {age_text(found.newest_age_s)} old" if found.rows else "  newest sample  none",
        f"  took           {found.took_s:.1f} s",
        "",
        f"  page           {runtime.web_url}",
        *(f"                 log in as {user}, password {password}" for user, password in found.logins),
        "",
        f"  broker         {runtime.broker_url} ({runtime.broker_kind})",
        f"                 {broker_limits(runtime.broker_kind)}",
        f"  database       {without_passwords(runtime.database_url)}",
        f"  control API    {runtime.control_url}/openapi.json",
        f"  credentials    {found.home / 'credentials.json'}",
    ]
    for path, why in found.missing[:MOST_MISSING]:
        lines.append(style(f"  missing        {path}: {why}", "error", enabled=colour))
    if len(found.missing) > MOST_MISSING:
        lines.append(f"  and {len(found.missing) - MOST_MISSING} more")
    return "\n".join(lines)
