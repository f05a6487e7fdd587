"""Retention: which class keeps a tag, and whether a class can do what it says."""

from __future__ import annotations

from collections.abc import Iterator

from nexus_cli.checks.view import View
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.model.resolve import retention_classes
from nexus_cli.model.site import parse_duration

BACKLOG_MS = parse_duration("1d")
"""How old samples may be when they arrive: a gateway's outbox is sized for a day without a historian."""
SHORTEST_KEEP_MS = parse_duration("1h")
LONGEST_NAME = 48
"""A class gives its table a part of its name; names that differ only behind it would give one table."""


def unknown_retention(view: View) -> Iterator[Diagnostic]:
    """NX2301."""
    classes = view.model.names("retention", retention_classes(view.model.site))
    for tag in view.tags:
        name = tag.tag.retention
        if name is not None and name not in classes:
            message = f"the retention class '{name}' is not declared"
            yield finding("NX2301", message, where=(*tag.where, "retention"), hint=did_you_mean(name, classes))


def compress_after_keep(view: View) -> Iterator[Diagnostic]:
    """NX2302."""
    for name, retention in view.model.site.retention.items():
        if retention.compress_after is not None and retention.compress_after >= retention.keep:
            message = "'compress_after' is not shorter than 'keep'"
            yield finding(
                "NX2302", message, where=("retention", name, "compress_after"), hint="make it shorter, or remove it"
            )


def compress_before_backlog(view: View) -> Iterator[Diagnostic]:
    """NX2303."""
    for name, retention in view.model.site.retention.items():
        if retention.compress_after is not None and retention.compress_after < BACKLOG_MS:
            message = "'compress_after' is shorter than the day of backlog that a gateway may send late"
            yield finding("NX2303", message, where=("retention", name, "compress_after"), hint="compress_after: 7d")


def rollup_beyond_keep(view: View) -> Iterator[Diagnostic]:
    """NX2304."""
    for name, retention in view.model.site.retention.items():
        for position, rollup in enumerate(retention.rollups):
            if parse_duration(rollup) >= retention.keep:
                message = f"a rollup of {rollup} needs samples that live longer"
                yield finding(
                    "NX2304", message, where=("retention", name, "rollups", position), hint="keep them longer"
                )


def class_name_too_long(view: View) -> Iterator[Diagnostic]:
    """NX2305."""
    for name in view.model.site.retention:
        if len(name) > LONGEST_NAME:
            message = (
                f"the class name '{name[:30]}…' has {len(name)} characters, a table's name can hold {LONGEST_NAME}"
            )
            yield finding("NX2305", message, where=("retention", name), on_key=True, hint="give it a shorter name")


def keep_too_short(view: View) -> Iterator[Diagnostic]:
    """NX2306."""
    for name, retention in view.model.site.retention.items():
        if retention.keep < SHORTEST_KEEP_MS:
            message = "samples that live shorter than an hour may be gone before a backlog arrives"
            yield finding("NX2306", message, where=("retention", name, "keep"), hint="keep: 1d")


def class_unused(view: View) -> Iterator[Diagnostic]:
    """NX2307. A tag that was left out for its errors may be the one that uses it."""
    if len(view.by_path) < len(view.model.declared):
        return
    used = view.retentions()
    for name in view.model.site.retention:
        if name not in used and name != "default":
            message = f"no tag uses the retention class '{name}'"
            yield finding("NX2307", message, where=("retention", name), on_key=True, hint="remove it, or use it")


CHECKS = (
    unknown_retention,
    compress_after_keep,
    compress_before_backlog,
    rollup_beyond_keep,
    class_name_too_long,
    keep_too_short,
    class_unused,
)
