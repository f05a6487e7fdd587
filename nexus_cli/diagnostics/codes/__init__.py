"""The catalogue of findings: one literal tuple per band, joined here.

Bands: 0 text, 1 shape, 2 meaning, 3 protocol, 4 plan, 5 apply, 6 runtime, 7 access, 9 our bug.
"""

from __future__ import annotations

from functools import cache

from nexus_cli.diagnostics.codes import (
    access,
    access_answers,
    actions,
    adopt,
    ads,
    alarms,
    apply,
    archive,
    commands,
    discover,
    drift,
    forge,
    importers,
    mcp,
    meaning,
    modbus,
    notifications,
    opcua,
    plan,
    policies,
    proof,
    protocol,
    purges,
    references,
    renames,
    rights,
    rollouts,
    runtime,
    s7,
    shape,
    site_tests,
    steering,
    text,
    transport,
    trial,
    views,
    web_page,
    web_rest,
    web_socket,
)
from nexus_cli.diagnostics.codes.code import Code
from nexus_cli.diagnostics.diagnostic import Diagnostic, ModelPath, Place, Related

BANDS = (
    text,
    shape,
    site_tests,
    meaning,
    references,
    alarms,
    rights,
    commands,
    protocol,
    modbus,
    s7,
    opcua,
    ads,
    plan,
    purges,
    actions,
    adopt,
    renames,
    policies,
    trial,
    drift,
    apply,
    forge,
    rollouts,
    archive,
    runtime,
    transport,
    proof,
    discover,
    importers,
    access,
    access_answers,
    web_rest,
    web_page,
    views,
    steering,
    web_socket,
    mcp,
    notifications,
)


@cache
def catalogue() -> dict[str, Code]:
    """Every code by its id, in ascending order."""
    codes = sorted((code for band in BANDS for code in band.CODES), key=lambda code: code.id)
    return {code.id: code for code in codes}


def finding(
    code: str,
    message: str,
    *,
    where: ModelPath = (),
    on_key: bool = False,
    place: Place | None = None,
    hint: str = "",
    related: tuple[Related, ...] = (),
) -> Diagnostic:
    """Make a finding with the severity that the catalogue gives its code.

    Raises:
        KeyError: The code is not in the catalogue (a bug; a test checks every call).
    """
    return Diagnostic(
        code=code,
        message=message,
        severity=catalogue()[code].severity,
        where=where,
        on_key=on_key,
        place=place,
        hint=hint,
        related=related,
    )


__all__ = ["Code", "catalogue", "finding"]
