"""Tags: addresses, ranges, deadbands and intervals."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from nexus_cli.checks.view import TagView, View
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic, ModelPath, Related
from nexus_cli.drivers.link_load import SHORTEST_POLL_MS
from nexus_cli.model.bound import BoundTag
from nexus_cli.model.chain import above, decimal_of
from nexus_cli.model.config import digest
from nexus_cli.model.datatype import INTEGER_BOUNDS
from nexus_cli.model.external import ExternalDevice, ExternalTag
from nexus_cli.model.quantities import UnitError, conversion, exact_conversion
from nexus_cli.model.resolve import DEFAULT_POLL_MS
from nexus_cli.model.site import Tag


def address_twice(view: View) -> Iterator[Diagnostic]:
    """NX2101: the same read again, or the place of a float read as something else too.

    A word that is read as a number and bit by bit, or with and without a sign, is no mistake; the bits of a float mean
    nothing but that float.
    """
    for device in view.devices:
        seen: dict[tuple[str, str, str], tuple[str, ModelPath]] = {}
        first_at: dict[tuple[str, bool], tuple[str, BoundTag]] = {}
        for name, bound in device.tags.items():
            if bound.address is None:
                continue
            text, of_floats = bound.address.text, bound.tag.type.startswith("float")
            options = digest(dict(bound.address.options)) if bound.address.options else ""
            first = seen.setdefault((text, bound.tag.type, options), (name, bound.where))
            odd, other = first_at.get((text, not of_floats)), first_at.setdefault((text, of_floats), (name, bound))
            if first[0] != name:
                message = f"'{name}' reads {text}, as '{first[0]}' does"
            elif odd is not None:
                first = (odd[0], odd[1].where)
                message = f"'{name}' reads {text} as {bound.tag.type}, and '{odd[0]}' as {odd[1].tag.type}"
            elif of_floats and other[1].tag.type != bound.tag.type:
                first = (other[0], other[1].where)
                message = f"'{name}' reads {text} as {bound.tag.type}, and '{other[0]}' as {other[1].tag.type}"
            else:
                continue
            yield finding(
                "NX2101",
                message,
                where=bound.where,
                on_key=True,
                hint="correct the address, or remove one of them",
                related=(Related(message=f"'{first[0]}'", where=first[1]),),
            )


def _ranged(view: View) -> Iterator[tuple[TagView, float | None, float | None]]:
    for tag in view.tags:
        if not isinstance(tag.tag, ExternalTag) and tag.tag.range is not None:
            low, high = tag.tag.range
            yield tag, low, high


def range_reversed(view: View) -> Iterator[Diagnostic]:
    """NX2102."""
    for tag, low, high in _ranged(view):
        if low is not None and high is not None and low >= high:
            message = f"the range [{low:g}, {high:g}] ends below its begin"
            if low == high:
                message = f"the range [{low:g}, {high:g}] holds one value only"
            yield finding(
                "NX2102", message, where=(*tag.where, "range"), hint=f"[{high:g}, {low:g}]" if low > high else ""
            )


def percent_without_range(view: View) -> Iterator[Diagnostic]:
    """NX2103."""
    for tag in view.tags:
        if isinstance(tag.tag, ExternalTag) or tag.tag.deadband is None or tag.tag.deadband.percent is None:
            continue
        if (
            tag.published.numeric
            and (tag.tag.range is None or None in tag.tag.range)
            and not view.inherited(tag, "deadband")
        ):
            message = f"a deadband of {tag.tag.deadband.percent:g}% needs a range with both ends"
            yield finding(
                "NX2103", message, where=(*tag.where, "deadband"), hint="add 'range: [low, high]', or write a number"
            )


def deadband_on_non_number(view: View) -> Iterator[Diagnostic]:
    """NX2104."""
    for tag in view.tags:
        if tag.tag.deadband is not None and not tag.published.numeric and not view.inherited(tag, "deadband"):
            message = f"a deadband has no effect on {tag.type}"
            yield finding("NX2104", message, where=(*tag.where, "deadband"), on_key=True, hint="remove it")


def scale_zero(view: View) -> Iterator[Diagnostic]:
    """NX2105."""
    for tag in view.read:
        if isinstance(tag.tag, Tag) and tag.tag.scale == 0:
            yield finding(
                "NX2105", "a scale of 0 makes every value the same", where=(*tag.where, "scale"), hint="scale: 1"
            )


def scale_on_non_number(view: View) -> Iterator[Diagnostic]:
    """NX2106."""
    for tag in view.read:
        if isinstance(tag.tag, Tag) and not tag.type.numeric:
            for key in ("scale", "offset"):
                if getattr(tag.tag, key) is not None:
                    message = f"{tag.type} can't have '{key}'"
                    yield finding("NX2106", message, where=(*tag.where, key), on_key=True, hint="remove it")


def range_beyond_type(view: View) -> Iterator[Diagnostic]:
    """NX2108."""
    for tag, low, high in _ranged(view):
        span = published_span(tag)
        if span is None:
            continue
        least, most = span
        if (low is not None and above(least, low)) or (high is not None and above(high, most)):
            message = f"the range reaches beyond what {tag.type} can hold, {least:g} to {most:g} in the published unit"
            yield finding("NX2108", message, where=(*tag.where, "range"))


def published_span(tag: TagView) -> tuple[float, float] | None:
    """Least and greatest published value of an integer type; None for other types and for errors that are reported elsewhere."""
    if tag.type.base not in INTEGER_BOUNDS or tag.type.count:
        return None
    factor, shift = Fraction(1), Fraction(0)
    if isinstance(tag.tag, Tag):
        scale, offset = decimal_of(1.0 if tag.tag.scale is None else tag.tag.scale), decimal_of(tag.tag.offset or 0.0)
        factor, shift = scale, offset
        if tag.tag.unit and tag.tag.publish_unit:
            try:
                times, plus = exact_conversion(tag.tag.unit, tag.tag.publish_unit) or conversion(
                    tag.tag.unit, tag.tag.publish_unit
                )
            except UnitError:
                return None
            factor, shift = factor * Fraction(times), shift * Fraction(times) + Fraction(plus)
    least, most = INTEGER_BOUNDS[tag.type.base]
    if getattr(tag.tag, "encoding", None) == "bcd":  # half a byte a digit; there is no sign
        least, most = 0, 10 ** ((most - least).bit_length() // 4) - 1
    ends = [float(end * factor + shift) for end in (least, most)]
    return min(ends), max(ends)


def heartbeat_below_poll(view: View) -> Iterator[Diagnostic]:
    """NX2109."""
    for tag in view.read:
        heartbeat = tag.tag.heartbeat
        poll = tag.tag.poll or DEFAULT_POLL_MS
        if heartbeat and heartbeat < poll and tag.tag.mode in (None, "poll") and not view.inherited(tag, "heartbeat"):
            message = f"a heartbeat of {heartbeat} ms is shorter than the poll interval of {poll} ms"
            yield finding(
                "NX2109", message, where=(*tag.where, "heartbeat"), hint="poll more often, or remove the heartbeat"
            )


def range_on_non_number(view: View) -> Iterator[Diagnostic]:
    """NX2110."""
    for tag, _, _ in _ranged(view):
        if not tag.published.numeric:
            yield finding(
                "NX2110", f"{tag.type} has no range", where=(*tag.where, "range"), on_key=True, hint="remove it"
            )


def poll_too_short(view: View) -> Iterator[Diagnostic]:
    """NX2114."""
    for tag in view.tags:
        if tag.tag.poll is not None and tag.tag.poll < SHORTEST_POLL_MS:
            message = f"an interval of {tag.tag.poll} ms is shorter than {SHORTEST_POLL_MS} ms"
            yield finding("NX2114", message, where=(*tag.where, "poll"), hint="poll: 100ms")


def deadband_beyond_range(view: View) -> Iterator[Diagnostic]:
    """NX2115."""
    for tag, low, high in _ranged(view):
        deadband = tag.tag.deadband
        if deadband is None or low is None or high is None or low >= high:
            continue
        size = deadband.absolute if deadband.absolute is not None else (deadband.percent or 0) * (high - low) / 100
        if size >= high - low and tag.published.numeric:
            message = f"a deadband of {size:g} is as wide as the range [{low:g}, {high:g}]"
            yield finding("NX2115", message, where=(*tag.where, "deadband"), hint=f"deadband: {(high - low) / 100:g}")


def no_devices(view: View) -> Iterator[Diagnostic]:
    """NX1017."""
    lines = [line for area in view.model.site.areas.values() for line in area.lines]
    if not view.model.devices and not view.model.declared and not lines:
        yield finding("NX1017", "the site declares no device", hint="areas: {…: {lines: {…: {devices: {…}}}}}")


def device_without_tags(view: View) -> Iterator[Diagnostic]:
    """NX2117."""
    for device in view.devices:
        prefix = device.path + "/"
        if device.tags or device.device.calculated or (device.kind is None and not device.external):
            continue
        if isinstance(device.device, ExternalDevice) and device.device.topics:
            continue
        if not any(path.startswith(prefix) for path in view.model.declared):
            yield finding(
                "NX2117", f"'{device.where[-1]}' has no tags", where=device.where, on_key=True, hint="tags: {…}"
            )


OF_ONE_TAG = (
    range_reversed,
    percent_without_range,
    deadband_on_non_number,
    scale_zero,
    scale_on_non_number,
    range_beyond_type,
    heartbeat_below_poll,
    range_on_non_number,
    poll_too_short,
    deadband_beyond_range,
)
"""Those that `View.alike` is enough for."""
CHECKS = (address_twice, *OF_ONE_TAG, no_devices, device_without_tags)
