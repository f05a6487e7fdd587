"""Enumerations: codes and their names."""

from __future__ import annotations

from collections.abc import Iterator

from nexus_cli.checks.view import TagView, View
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic
from nexus_cli.model.datatype import INTEGER_BOUNDS
from nexus_cli.model.external import ExternalTag


def _enumerations(view: View) -> Iterator[TagView]:
    return (tag for tag in view.tags if tag.tag.values)


def values_on_non_integer(view: View) -> Iterator[Diagnostic]:
    """NX2107."""
    for tag in _enumerations(view):
        if not tag.type.integer and not (isinstance(tag.tag, ExternalTag) and tag.type.numeric):
            message = f"{tag.type} can't have value names"
            yield finding(
                "NX2107",
                message,
                where=(*tag.where, "values"),
                on_key=True,
                hint="type: uint16, or the device's integer type",
            )


def values_and_scale(view: View) -> Iterator[Diagnostic]:
    """NX2111."""
    for tag in _enumerations(view):
        if tag.type.integer and tag.published != tag.type:
            message = "value names and a scale or conversion don't go together"
            yield finding(
                "NX2111",
                message,
                where=(*tag.where, "values"),
                on_key=True,
                hint="remove scale, offset and publish_unit",
            )


def code_beyond_type(view: View) -> Iterator[Diagnostic]:
    """NX2112."""
    for tag in _enumerations(view):
        if not tag.type.integer:
            continue
        low, high = INTEGER_BOUNDS[tag.type.base]
        for code in tag.tag.values or {}:
            if not low <= code <= high:
                message = f"{tag.type} can't hold the code {code}"
                yield finding("NX2112", message, where=(*tag.where, "values", code), on_key=True)


def label_twice(view: View) -> Iterator[Diagnostic]:
    """NX2113."""
    for tag in _enumerations(view):
        seen: dict[str, int] = {}
        for code, label in (tag.tag.values or {}).items():
            if seen.setdefault(label, code) != code:
                message = f"the codes {seen[label]} and {code} have the same name '{label}'"
                yield finding("NX2113", message, where=(*tag.where, "values", code))


CHECKS = (values_on_non_integer, values_and_scale, code_beyond_type, label_twice)
