"""Findings about `drift:`."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from nexus_cli.checks.view import View
from nexus_cli.diagnostics import Diagnostic
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.model.drift import KIND_NAMES


def unknown_kinds(view: View) -> Iterator[Diagnostic]:
    """An entry of `ignore` that names no kind of drift leaves nothing out."""
    drift = view.model.site.drift
    for position, text in enumerate(drift.ignore if drift is not None else ()):
        glob, colon, kind = text.partition(":")
        if glob.strip() and not (colon and not any(fnmatchcase(known, kind) for known in KIND_NAMES)):
            continue
        message = f"'{kind}' is not a kind of drift" if glob.strip() else f"'{text}' names no path"
        yield finding(
            "NX4201",
            message,
            where=("drift", "ignore", position),
            hint=did_you_mean(kind, KIND_NAMES) or "a path glob, or glob:kind such as **:description-changed",
        )


CHECKS = (unknown_kinds,)
