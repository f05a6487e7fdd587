"""Certificates: to JSON and text, pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Required, TypedDict

if TYPE_CHECKING:
    from nexus_cli.certificates.index import Issued
    from nexus_cli.project.certs import Kept
    from nexus_cli.project.certs_ca import CaPapers, Papers


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


class IssuedDocument(TypedDict):
    """A certificate of the CA. `file` is "" for a revoked one."""

    name: str
    kind: str
    serial: str
    hosts: list[str]
    uri: str
    valid_until: str
    revoked: str
    file: str
    doubts: list[str]


class CaDocument(TypedDict):
    """The CA of the folder, and what it issued; times are ISO 8601, UTC."""

    file: str
    valid_until: str
    doubts: list[str]
    issued: list[IssuedDocument]
    revoked: list[IssuedDocument]


class CertificatesDocument(TypedDict):
    """Of a `.nexus` folder."""

    ca: CaDocument | None
    ours: CertificateDocument | None
    servers: list[CertificateDocument]


OURS = "OPC UA client"
"""The certificate that gateways show to OPC UA servers."""


def document(ours: Kept | None, servers: Sequence[Kept], ca: CaPapers | None = None) -> CertificatesDocument:
    """The JSON form; `ours` is null before the first secured connection, `ca` before `nexus certs init`."""
    return {
        "ca": None if ca is None else ca_document(ca),
        "ours": None if ours is None else one(ours),
        "servers": [one(kept) for kept in servers],
    }


def ca_document(ca: CaPapers) -> CaDocument:
    """The CA and what it issued."""
    return {
        "file": str(ca.file),
        "valid_until": ca.expiry.not_after.isoformat(),
        "doubts": list(ca.doubts),
        "issued": [issued_document(each) for each in ca.issued],
        "revoked": [issued_document(each) for each in ca.revoked],
    }


def issued_document(papers: Papers) -> IssuedDocument:
    """One certificate of the CA."""
    entry = papers.entry
    return {
        "name": entry.name,
        "kind": str(entry.kind),
        "serial": entry.serial,
        "hosts": [*entry.hosts, *entry.addresses],
        "uri": entry.uri,
        "valid_until": _moment(entry.not_after),
        "revoked": _moment(entry.revoked) if entry.revoked else "",
        "file": str(papers.file or ""),
        "doubts": list(papers.doubts),
    }


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


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
    """The CA with what it issued, then our OPC UA certificate, then those of OPC UA servers."""
    parts = [ca_text(result["ca"])] if result["ca"] else []
    parts += [
        certificate(result["ours"], OURS) if result["ours"] else f"{OURS}: none yet, `nexus certs export` makes it"
    ]
    parts += [certificate(found, "server") for found in result["servers"]]
    return "\n\n".join(parts)


def ca_text(ca: CaDocument) -> str:
    """A line for the CA, and one for each certificate."""
    lines = [f"CA: {ca['file']}, until {ca['valid_until'][:10]}"]
    lines += [f"  warning: {doubt}" for doubt in ca["doubts"]]
    width = max((len(each["name"]) for each in [*ca["issued"], *ca["revoked"]]), default=0)
    for each in ca["issued"]:
        lines.append(_line(each, width, f"until {each['valid_until'][:10]}"))
        lines += [f"  {'':{width}}  warning: {doubt}" for doubt in each["doubts"]]
    lines += [_line(each, width, f"revoked on {each['revoked'][:10]}") for each in ca["revoked"]]
    return "\n".join(lines)


def _line(found: IssuedDocument, width: int, until: str) -> str:
    names = ", ".join(filter(None, [found["uri"], *found["hosts"]]))
    return f"  {found['name']:{width}}  {found['kind']:6}  {until}  {names}".rstrip()


def issued_text(found: IssuedDocument) -> str:
    """A few lines about a certificate of the CA."""
    names = ", ".join(filter(None, [found["uri"], *found["hosts"]]))
    lines = [
        f"{found['name']} ({found['kind']}): {found['file']}",
        f"  serial  {found['serial']}",
        f"  names   {names}" if names else "",
        f"  until   {found['valid_until'][:10]}",
    ]
    return "\n".join([*filter(None, lines), *(f"  warning: {doubt}" for doubt in found["doubts"])])


def revoked_text(gone: Sequence[Issued]) -> str:
    """The serial numbers that were put on the list."""
    return "\n".join(f"revoked {entry.name}, serial {entry.serial}" for entry in gone)


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
