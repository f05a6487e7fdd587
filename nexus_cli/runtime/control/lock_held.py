"""What is refused while another deployment holds the lock."""

from __future__ import annotations

from nexus_cli.database.lease import Lease
from nexus_cli.diagnostics.errors import NexusError


def locked(held: Lease | None) -> NexusError:
    """The error NX5001, with who holds it and for what."""
    return NexusError(
        "Another deployment is running."
        if held is None
        else f"{held.owner} holds the lock" + (f" ({held.reason})." if held.reason else "."),
        code="NX5001",
    )
