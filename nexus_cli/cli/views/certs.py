"""Certificates: to JSON and text, pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Required, TypedDict

if TYPE_CHECKING:
    from nexus_cli.project.certs import Kept


class CertificateDocument(TypedDict, total=False):
    """One certificate. Only `file` and `doubts` exist when it can't be read. Times are ISO 8601, UTC."""

    file: Required[str]
    doubts: Required[list[str]]
    thumbprint: str
    sha256: str
    uri: str
    hosts: list[str]
    valid_from: str
    valid_until: str
    subject: str


class CertificatesDocument(TypedDict):
    """Of a `.nexus` folder."""

    ours: CertificateDocument | None
    servers: list[CertificateDocument]


def document(ours: Kept | None, servers: Sequence[Kept]) -> CertificatesDocument:
    """The JSON form; `ours` is null before the first secured connection."""
    return {"ours": None if ours is None else one(ours), "servers": [one(kept) for kept in servers]}


def one(kept: Kept) -> CertificateDocument:
    """One certificate."""
    found: CertificateDocument = {"file": str(kept.file), "doubts": list(kept.doubts)}
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


def text(result: CertificatesDocument) -> str:
    """Ours first, then the servers'."""
    parts = [certificate(result["ours"], "ours") if result["ours"] else "ours: none yet, `nexus certs export` makes it"]
    parts += [certificate(found, "server") for found in result["servers"]]
    return "\n\n".join(parts)


def certificate(found: CertificateDocument, whose: str) -> str:
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
