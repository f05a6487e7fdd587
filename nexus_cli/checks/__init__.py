"""Stage 3, check: what the model means, and whether it can be so. One function per code; each says where in the model."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator

from nexus_cli.checks import (
    access,
    actions,
    alarms,
    alerts,
    archive,
    commands,
    drift,
    expressions,
    gateways,
    links,
    load,
    moved,
    names,
    notifications,
    parameters,
    policies,
    procedures,
    quality,
    retention,
    rights,
    rollouts,
    security,
    signals,
    signatures,
    tags,
    units,
    values,
    views,
)
from nexus_cli.checks.view import View
from nexus_cli.diagnostics.diagnostic import Diagnostic
from nexus_cli.model.bound import Model, Place

Check = Callable[[View], Iterator[Diagnostic]]

CHECKS: tuple[Check, ...] = (
    *names.CHECKS,
    *tags.CHECKS,
    *values.CHECKS,
    *signals.CHECKS,
    *units.CHECKS,
    *expressions.CHECKS,
    *retention.CHECKS,
    *archive.CHECKS,
    *gateways.CHECKS,
    *links.CHECKS,
    *load.CHECKS,
    *security.CHECKS,
    *access.CHECKS,
    *rights.CHECKS,
    *rollouts.CHECKS,
    *alerts.CHECKS,
    *alarms.CHECKS,
    *quality.CHECKS,
    *notifications.CHECKS,
    *commands.CHECKS,
    *procedures.CHECKS,
    *parameters.CHECKS,
    *actions.CHECKS,
    *signatures.CHECKS,
    *policies.CHECKS,
    *views.CHECKS,
    *moved.CHECKS,
    *drift.CHECKS,
)

OF_ONE_TAG: frozenset[Check] = frozenset(
    {
        *tags.OF_ONE_TAG,
        *values.CHECKS,
        *signals.CHECKS,
        *units.CHECKS,
        *commands.CHECKS,
        retention.unknown_retention,
        links.mode_not_supported,
    }
)
"""Checks that look at one tag at a time, and at neither its name nor its address: `View.alike` is enough to see that
there is nothing to find."""


def check(model: Model, *, sound_links: Container[Place] = ()) -> tuple[Diagnostic, ...]:
    """Everything that is wrong, doubtful or worth knowing about a bound model, in the order of the checks.

    Args:
        model: The bound site; `KeptDevice`s are known to have no finding of their own.
        sound_links: Links of such devices alone, known to have none either.
    """
    view = View.of(model, sound_links=sound_links)
    alike = view.alike()
    return tuple(found for one in CHECKS if one not in OF_ONE_TAG or any(one(alike)) for found in one(view))
