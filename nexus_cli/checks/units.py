"""Units: known, convertible, and of one dimension."""

from __future__ import annotations

from collections.abc import Iterator

from nexus_cli.checks.view import TagView, View
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.model.quantities import UnitError, choices, conversion, known, suggestions
from nexus_cli.model.site import Tag

_WORDS = {
    "volt": "V",
    "amp": "A",
    "ampere": "A",
    "watt": "W",
    "kilowatt": "kW",
    "hertz": "Hz",
    "celsius": "degC",
    "centigrade": "degC",
    "fahrenheit": "degF",
    "percent": "%",
    "litre": "l",
    "liter": "l",
    "metre": "m",
    "meter": "m",
    "sec": "s",
    "second": "s",
    "minute": "min",
    "hour": "h",
    "gram": "g",
    "kilogram": "kg",
}
"""Units by the words that people write for them; in capitals the library does not know them either."""


def _converted(view: View) -> Iterator[tuple[TagView, str | None, str]]:
    for tag in view.read:
        if isinstance(tag.tag, Tag) and tag.tag.publish_unit is not None:
            yield tag, tag.tag.unit, tag.tag.publish_unit


def _meant(unit: str) -> str:
    """The unit that a word names, that differs only in the size of its letters, or the nearest one."""
    word = unit.strip().lower()
    if symbol := _WORDS.get(word) or _WORDS.get(word.removesuffix("s")):
        return f"did you mean '{symbol}'?"
    same = next((symbol for symbol in suggestions() if symbol.lower() == unit.lower()), None)
    return f"did you mean '{same}'?" if same else did_you_mean(unit, suggestions())


def unknown_unit(view: View) -> Iterator[Diagnostic]:
    """NX2201."""
    for tag in view.tags:
        unit = tag.tag.unit
        if unit and not getattr(tag.tag, "publish_unit", None) and not known(unit) and not choices(unit):
            hint = _meant(unit) or "known are SI units and those that plants use, such as degC, kWh, m3/h"
            yield finding(
                "NX2201",
                f"the unit '{unit}' is unknown; it is published as written",
                where=(*tag.where, "unit"),
                hint=hint,
            )


def not_convertible(view: View) -> Iterator[Diagnostic]:
    """NX2202."""
    for tag, unit, published in _converted(view):
        if unit is None or unit == published:
            continue
        for key, text in (("unit", unit), ("publish_unit", published)):
            if known(text):
                continue
            may_be = choices(text)
            what = "may mean several units" if may_be else "is unknown"
            hint = _choices(may_be) if may_be else _meant(text)
            yield finding(
                "NX2202", f"the unit '{text}' {what} and can't be converted", where=(*tag.where, key), hint=hint
            )


def unit_dimension(view: View) -> Iterator[Diagnostic]:
    """NX2203."""
    for tag, unit, published in _converted(view):
        if unit is None or not known(unit) or not known(published):
            continue
        try:
            conversion(unit, published)
        except UnitError as error:
            yield finding(
                "NX2203", str(error), where=(*tag.where, "publish_unit"), hint="publish a unit of the same kind"
            )


def publish_unit_without_unit(view: View) -> Iterator[Diagnostic]:
    """NX2204."""
    for tag, unit, published in _converted(view):
        if unit is None:
            message = f"'{published}' is to be published, but the unit of the device is not given"
            yield finding("NX2204", message, where=(*tag.where, "publish_unit"), on_key=True, hint="add 'unit: …'")


def ambiguous_unit(view: View) -> Iterator[Diagnostic]:
    """NX2206."""
    for tag in view.tags:
        unit = tag.tag.unit
        if unit and not getattr(tag.tag, "publish_unit", None) and (may_be := choices(unit)):
            yield finding(
                "NX2206",
                f"the unit '{unit}' means different things to different people; it is published as written",
                where=(*tag.where, "unit"),
                hint=_choices(may_be),
            )


def _choices(may_be: tuple[str, ...]) -> str:
    return f"write {', '.join(may_be[:-1])} or {may_be[-1]}"


def conversion_of_non_number(view: View) -> Iterator[Diagnostic]:
    """NX2205."""
    for tag, unit, published in _converted(view):
        if unit is not None and unit != published and not tag.type.numeric:
            yield finding(
                "NX2205",
                f"{tag.type} can't be converted",
                where=(*tag.where, "publish_unit"),
                on_key=True,
                hint="remove it",
            )


CHECKS = (
    unknown_unit,
    not_convertible,
    unit_dimension,
    publish_unit_without_unit,
    conversion_of_non_number,
    ambiguous_unit,
)
