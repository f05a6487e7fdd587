"""Certificates: to JSON and text, pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nexus_cli.project.certs import Kept


def document(ours: Kept | None, servers: Sequence[Kept]) -> dict[str, Any]:
    """The JSON form; `ours` is null before the first secured connection."""
    return {"ours": None if ours is None else one(ours), "servers": [one(kept) for kept in servers]}


def one(kept: Kept) -> dict[str, Any]:
    """One certificate."""
    found: dict[str, Any] = {"file": str(kept.file), "doubts": list(kept.doubts)}
    if kept.facts is None:
        return found
    facts = kept.facts
    return {
        **found,
        "thumbprint": facts.thumbprint,
        "sha256": facts.sha256,
        "uri": facts.uri,
        "hosts": list(facts.hosts),
        "valid_from": facts.valid_from.isoformat(),
        "valid_until": facts.valid_until.isoformat(),
        "subject": facts.subject,
    }


def text(result: Mapping[str, Any]) -> str:
    """Ours first, then the servers'."""
    parts = [certificate(result["ours"], "ours") if result["ours"] else "ours: none yet, `nexus certs export` makes it"]
    parts += [certificate(found, "server") for found in result["servers"]]
    return "\n\n".join(parts)


def certificate(found: Mapping[str, Any], whose: str) -> str:
    """A few lines about one."""
    lines = [f"{whose}: {found['file']}"]
    if "thumbprint" not in found:
        return lines[0] + "\n  it can't be read"
    lines.append(f"  thumbprint  {found['thumbprint']}")
    lines.append(f"  SHA-256     {found['sha256']}")
    names = ", ".join([found["uri"], *found["hosts"]])
    lines.append(f"  names       {names}")
    lines.append(f"  valid       {found['valid_from'][:10]} to {found['valid_until'][:10]}")
    return "\n".join(lines + [f"  warning: {doubt}" for doubt in found["doubts"]])
