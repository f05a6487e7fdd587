"""A connection that was written for another protocol: one mistake, one finding. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic, ModelPath
from nexus_cli.model.driver_kind import DriverKind

FEWEST = 2
"""Unknown keys that make another protocol likely; a single one is rather misspelt."""


def of_another_protocol(
    written: object, kind: DriverKind, kinds: Mapping[str, DriverKind], *, where: ModelPath
) -> Diagnostic | None:
    """NX1001 for the whole connection, when its keys are unknown to this protocol and all known to another one.

    Args:
        written: The value of `connection:`.
        kind: The protocol of the device.
        kinds: Every protocol, by name.
        where: Place of the connection.
    """
    if not isinstance(written, Mapping):
        return None
    keys = {str(key) for key in written}
    strange = keys - _keys(kind)
    fitting = [other.name for other in kinds.values() if other.name != kind.name and keys <= _keys(other)]
    if len(strange) < FEWEST or not fitting:
        return None
    *first, last = (f"'{key}'" for key in written if str(key) in strange)
    return finding(
        "NX1001",
        f"the connection has {', '.join(first)} and {last}, which {kind.name} does not know",
        where=where,
        on_key=True,
        hint=f"{_own(written, kind)}, or protocol: {' | '.join(fitting)}",
    )


def _own(written: Mapping[object, object], kind: DriverKind) -> str:
    """The keys that a connection of this protocol needs, with the host as written."""
    host = str(written.get("host") or "device")
    lacking = [name for name, field in kind.connection.model_fields.items() if field.is_required()]
    if not lacking:
        return "remove them"
    values = (f"{name}: {str(kind.stand_in.get(name, '…')).replace('device', host)}" for name in lacking)
    return f"connection: {{{', '.join(values)}}}"


def _keys(kind: DriverKind) -> set[str]:
    return {field.alias or name for name, field in kind.connection.model_fields.items()}
