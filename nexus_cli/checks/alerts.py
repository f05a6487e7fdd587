"""Alerts: one condition on a tag that exists, with room to clear."""

from __future__ import annotations

from collections.abc import Iterator

from nexus_cli.checks.tags import published_span
from nexus_cli.checks.view import TagView, View
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.model.alarms import CONDITIONS
from nexus_cli.model.chain import above, same
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.model.datatype import INTEGER_BOUNDS
from nexus_cli.model.external import ExternalTag
from nexus_cli.model.instant import is_instant
from nexus_cli.model.inversion import InversionError, published_of, raw_of
from nexus_cli.model.resolve import device_config
from nexus_cli.model.site import Alert, Tag


def alert_tag(view: View) -> Iterator[Diagnostic]:
    """NX2701."""
    for name, alert in view.model.site.alerts.items():
        if alert.tag is not None and alert.tag not in view.model.declared:
            hint = _moved_hint(view, alert.tag) or did_you_mean(alert.tag, _candidates(view, alert.tag))
            yield finding("NX2701", f"there is no tag '{alert.tag}'", where=("alerts", name, "tag"), hint=hint)


def _moved_hint(view: View, path: str) -> str:
    """Where `moved` says that a tag, or its device, went."""
    for move in view.model.site.moved:
        if path == move.from_ or path.startswith(f"{move.from_}/"):
            target = move.to + path[len(move.from_) :]
            return f"'{move.from_}' was moved: write {target}" if target in view.model.declared else ""
    return ""


def _candidates(view: View, path: str) -> list[str]:
    """Paths near enough to compare: those that share the device, else those that share the last level."""
    head, _, last = path.rpartition("/")
    near = [one for one in view.model.declared if one.startswith(head + "/")]
    return (
        near
        or [one for one in view.model.declared if one.endswith("/" + last)][:200]
        or sorted(view.model.declared)[:200]
    )


def alert_condition(view: View) -> Iterator[Diagnostic]:
    """NX2702."""
    for name, alert in view.model.site.alerts.items():
        given = [key for key in CONDITIONS if getattr(alert, key) is not None]
        if len(given) == 1:
            if alert.tag is None and alert.expr is None:
                hint = "tag: area/line/device/tag"
                yield finding("NX2702", "the alert has no tag", where=("alerts", name), on_key=True, hint=hint)
            continue
        message = f"the alert has {' and '.join(repr(key) for key in given)}" if given else "the alert has no condition"
        hint = "make one alert of each" if given else f"add one of {', '.join(CONDITIONS)}"
        yield finding("NX2702", message, where=("alerts", name), on_key=True, hint=hint)


def alert_hysteresis(view: View) -> Iterator[Diagnostic]:
    """NX2703."""
    for name, alert in view.model.site.alerts.items():
        low, high = limits_of(alert)
        if high is not None and alert.clear_below is not None and alert.clear_below > high:
            message = f"it is raised above {high:g} and cleared below {alert.clear_below:g}"
            yield finding("NX2703", message, where=("alerts", name, "clear_below"), hint=f"write less than {high:g}")
        if low is not None and alert.clear_above is not None and alert.clear_above < low:
            message = f"it is raised below {low:g} and cleared above {alert.clear_above:g}"
            yield finding("NX2703", message, where=("alerts", name, "clear_above"), hint=f"write more than {low:g}")


def limits_of(alert: Alert) -> tuple[float | None, float | None]:
    """Below which value it is raised, and above which."""
    low, high = alert.outside or (None, None)
    return (alert.below if alert.below is not None else low, alert.above if alert.above is not None else high)


def _with_tag(view: View) -> Iterator[tuple[str, Alert, TagView]]:
    for name, alert in view.model.site.alerts.items():
        tag = view.by_path.get(alert.tag or "")
        if tag is not None:
            yield name, alert, tag


def alert_type(view: View) -> Iterator[Diagnostic]:
    """NX2704."""
    for name, alert, tag in _with_tag(view):
        for key in ("above", "below", "clear_below", "clear_above", "outside", "rate"):
            if getattr(alert, key) is not None and not tag.published.numeric:
                message = f"'{key}' needs a number, and the tag is {tag.type}"
                hint = "equals: true" if tag.type.base == "bool" else "equals: …"
                yield finding("NX2704", message, where=("alerts", name, key), on_key=True, hint=hint)
        if alert.equals is not None and (problem := _unequal(alert.equals, tag)):
            message = f"'equals' can't be {alert.equals!r}: {problem}"
            yield finding("NX2704", message, where=("alerts", name, "equals"), hint=_equals_hint(alert.equals, tag))


def _unequal(value: object, tag: TagView) -> str:
    base = tag.published.base
    if tag.published.count or base == "json":
        return f"the tag is {tag.published}"
    if isinstance(value, bool) != (base == "bool"):
        return f"the tag is {tag.published}"
    if isinstance(value, str) and tag.tag.values:
        return "" if value in tag.tag.values.values() else "it is not one of the value names"
    if isinstance(value, str) != (base in ("string", "datetime")):
        return f"the tag is {tag.published}"
    return ""


def _equals_hint(value: object, tag: TagView) -> str:
    if tag.tag.values and isinstance(value, str):
        return did_you_mean(value, tag.tag.values.values())
    return "equals: true or false" if tag.published.base == "bool" else ""


def alert_beyond_range(view: View) -> Iterator[Diagnostic]:
    """NX2705."""
    for name, alert, tag in _with_tag(view):
        if isinstance(tag.tag, ExternalTag) or tag.tag.range is None:
            continue
        low, high = tag.tag.range
        values = {key: getattr(alert, key) for key in ("above", "below", "equals", "clear_below", "clear_above")}
        values |= dict(zip(("outside.0", "outside.1"), alert.outside or (), strict=False))
        for key, value in values.items():
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                continue
            if (low is not None and above(low, value)) or (high is not None and above(value, high)):
                message = f"{value:g} lies outside the tag's range"
                hint = "limits are in the published unit" if getattr(tag.tag, "publish_unit", None) else ""
                yield finding("NX2705", message, where=("alerts", name, key.partition(".")[0]), hint=hint)


def alert_never(view: View) -> Iterator[Diagnostic]:
    """NX2707."""
    configs: dict[str, DeviceConfig] = {}
    for name, alert, tag in _with_tag(view):
        if alert.equals is not None and not _unequal(alert.equals, tag):
            device = tag.device.path
            if device not in configs:
                configs[device] = device_config(tag.device)
            problem, hint = _never_equal(alert.equals, tag, configs[device].tags[tag.name])
            if problem:
                yield finding("NX2707", problem, where=("alerts", name, "equals"), hint=hint)
        span = None if isinstance(tag.tag, ExternalTag) or tag.tag.range is not None else published_span(tag)
        if span is None:
            continue
        least, most = span
        for key, never in (
            ("above", alert.above is not None and alert.above >= most),
            ("below", alert.below is not None and alert.below <= least),
        ):
            if never:
                message = f"a value {key} {getattr(alert, key):g} can't come: {tag.type} holds {least:g} to {most:g}"
                yield finding("NX2707", message, where=("alerts", name, key))
        for key, never in (
            ("clear_below", alert.clear_below is not None and alert.clear_below <= least),
            ("clear_above", alert.clear_above is not None and alert.clear_above >= most),
        ):
            if never:
                message = (
                    f"a value {key.removeprefix('clear_')} {getattr(alert, key):g} can't come, so that the alert is never "
                    f"cleared: {tag.type} holds {least:g} to {most:g}"
                )
                yield finding("NX2707", message, where=("alerts", name, key))


def _never_equal(value: object, tag: TagView, config: TagConfig) -> tuple[str, str]:
    """Why a tag never equals a value of its own kind, and what to write; "" when it may."""
    names = tag.tag.values or {}
    if isinstance(value, str):
        length = tag.published.length
        if tag.published.base == "string" and length and len(value) > length:
            return f"the tag's texts have at most {length} characters, this one has {len(value)}", ""
        if isinstance(tag.tag, Tag) and not names:
            try:
                raw_of(config, value, bounded=False)
            except InversionError as error:
                return f"the tag never equals '{value[:60]}': {error}", error.hint.replace("write it as", "equals:")
        elif tag.published.base == "datetime" and not is_instant(value):
            return f"the tag never equals '{value[:60]}': it is a datetime", "equals: 2026-12-01T06:00:00Z"
        return "", ""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return "", ""
    if names and value not in names:
        known = ", ".join(f"{code} ({label})" for code, label in list(names.items())[:10])
        return (
            f"the code {value:g} has no name among the tag's values",
            f"known are {known}; add it to `values` if it may come",
        )
    if isinstance(tag.tag, Tag) and tag.type.numeric:
        try:
            held = published_of(config, raw_of(config, value, bounded=False))
        except InversionError as error:
            return f"the tag never equals {value:g}: {error}", error.hint.replace("write ", "equals: ")
        if isinstance(held, (int, float)) and not same(held, value):
            return f"the tag never equals {value:g}: {tag.type} holds {held:.15g}", f"equals: {held:.15g}"
        return "", ""
    if tag.published.integer:
        low, high = INTEGER_BOUNDS[tag.published.base]
        if value != int(value) or not low <= value <= high:
            return f"the tag never equals {value:g}: it is {tag.published} ({low} to {high})", ""
    return "", ""


def alert_clear_alone(view: View) -> Iterator[Diagnostic]:
    """NX2706."""
    for name, alert in view.model.site.alerts.items():
        low, high = limits_of(alert)
        for clear, condition, limit in (("clear_below", "above", high), ("clear_above", "below", low)):
            if getattr(alert, clear) is not None and limit is None:
                message = f"'{clear}' belongs to '{condition}', which is not there"
                yield finding("NX2706", message, where=("alerts", name, clear), on_key=True, hint="remove it")


def alert_unpublished(view: View) -> Iterator[Diagnostic]:
    """NX2708."""
    for name, alert, tag in _with_tag(view):
        if is_silent(tag):
            message = f"'{alert.tag}' is not published, and alerts are raised by what is published"
            yield finding("NX2708", message, where=("alerts", name, "tag"), hint="live: {publish: true} at the tag")


def is_silent(tag: TagView) -> bool:
    """Whether the newest value of a tag is not published: control has it from nowhere else."""
    live = None if isinstance(tag.tag, ExternalTag) else tag.tag.live
    return live is not None and live.publish is False


CHECKS = (
    alert_tag,
    alert_condition,
    alert_hysteresis,
    alert_type,
    alert_beyond_range,
    alert_clear_alone,
    alert_never,
    alert_unpublished,
)
