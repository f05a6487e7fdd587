"""Alarms: conditions on several tags and over time, priorities, groups, and who suppresses whom."""

from __future__ import annotations

from collections.abc import Iterator

from nexus_cli.checks.alerts import is_silent
from nexus_cli.checks.view import View
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.model.alarms import SEVERITY_OF
from nexus_cli.model.datatype import DataType
from nexus_cli.model.expression import compile_expression
from nexus_cli.model.expression_text import ExpressionSyntaxError, names_in, prepare
from nexus_cli.model.external import ExternalTag
from nexus_cli.model.site import Alert


def alarm_expression(view: View) -> Iterator[Diagnostic]:
    """NX2709."""
    for name, alert in view.model.site.alerts.items():
        if alert.expr is not None:
            yield from _expression(view, alert.expr, ("alerts", name, "expr"))


def _expression(view: View, text: str, where: tuple[str, ...]) -> Iterator[Diagnostic]:
    try:
        prepare(text)
    except ExpressionSyntaxError as error:
        yield finding("NX2709", f"{error} (column {error.column})", where=where, hint=error.hint)
        return
    names = names_in(text)
    types = {name: view.by_path[name].published for name in names if name in view.by_path}
    if any(name in view.model.declared and name not in types for name in names):
        return  # that tag has an error of its own
    for name in names:
        if name not in types:
            yield finding("NX2709", f"there is no tag '{name}'", where=where, hint=_where_it_is(view, name))
    if len(types) < len(names):
        return
    if not names:
        yield finding("NX2709", "the expression reads no tag", where=where, hint="{area/line/device/tag} > 100")
        return
    for name in names:
        if is_silent(view.by_path[name]):
            message = f"'{name}' is not published, and alerts are raised by what is published"
            yield finding("NX2709", message, where=where, hint="live: {publish: true} at the tag")
            return
    labels = {name: view.by_path[name].tag.values or {} for name in types if view.by_path[name].tag.values}
    for found in compile_expression(text, types=types, labels=labels, result=DataType("bool")).findings:
        if found.code == "NX2407":
            yield finding("NX2709", "the expression gives no true or false", where=where, hint="compare it: {…} > 0")
        else:
            yield finding("NX2709", found.message, where=where, hint=found.hint)


def _where_it_is(view: View, name: str) -> str:
    for move in view.model.site.moved:
        if name == move.from_ or name.startswith(f"{move.from_}/"):
            target = move.to + name[len(move.from_) :]
            if target in view.model.declared:
                return f"'{move.from_}' was moved: write {target}"
    if "/" in name:
        return did_you_mean(name, list(view.by_path)[:2000])
    path = next((path for path in view.by_path if path.endswith("/" + name)), "area/line/device/tag")
    return f"write tags with their full path in braces: {{{path}}}"


def alarm_limits(view: View) -> Iterator[Diagnostic]:
    """NX2710."""
    for name, alert in view.model.site.alerts.items():
        if alert.outside is not None and alert.outside[0] >= alert.outside[1]:
            low, high = alert.outside
            message = f"no value lies between {low:g} and {high:g}"
            yield finding("NX2710", message, where=("alerts", name, "outside"), hint=f"outside: [{high:g}, {low:g}]")
        if alert.rate is None:
            continue
        where = ("alerts", name, "rate")
        if alert.rate.above is None and alert.rate.below is None:
            yield finding("NX2710", "the rate has no limit", where=where, on_key=True, hint="rate: {above: 5, per: 1m}")
        elif alert.rate.per <= 0:
            yield finding("NX2710", "a rate needs a time", where=(*where, "per"), hint="per: 1m")
        elif None not in (low_high := (alert.rate.below, alert.rate.above)) and low_high[0] >= low_high[1]:  # type: ignore[operator]
            message = "every value moves by more than `above` or by less than `below`"
            yield finding("NX2710", message, where=where, on_key=True, hint="rate: {above: 5, below: -5}")
    for name, alert in view.model.site.alerts.items():
        for key in ("unchanged_for", "no_data_for"):
            if getattr(alert, key) is not None and getattr(alert, key) <= 0:
                yield finding("NX2710", f"'{key}' needs a time", where=("alerts", name, key), hint=f"{key}: 10m")


def alarm_severity(view: View) -> Iterator[Diagnostic]:
    """NX2711."""
    for name, alert in view.model.site.alerts.items():
        if alert.priority is not None and alert.severity is not None:
            message = f"priority {alert.priority} is severity {SEVERITY_OF[alert.priority]}, and 'severity' says {alert.severity}"
            yield finding("NX2711", message, where=("alerts", name, "severity"), on_key=True, hint="remove 'severity'")


def alarm_suppressors(view: View) -> Iterator[Diagnostic]:
    """NX2712."""
    alerts = view.model.site.alerts
    known = view.model.names("alerts", alerts)
    for name, alert in alerts.items():
        for position, other in enumerate(alert.suppressed_by):
            where = ("alerts", name, "suppressed_by", position)
            if other not in known:
                yield finding("NX2712", f"there is no alert '{other}'", where=where, hint=did_you_mean(other, alerts))


def alarm_circles(view: View) -> Iterator[Diagnostic]:
    """NX2713."""
    alerts = view.model.site.alerts
    told: set[str] = set()
    for name in alerts:
        circle = _circle(alerts, name)
        if circle and not told & set(circle):
            told |= set(circle)
            message = f"alerts suppress each other in a circle: {' by '.join([*circle, circle[0]])}"
            where = ("alerts", name, "suppressed_by")
            yield finding("NX2713", message, where=where, on_key=True, hint="the cause suppresses its consequence")


def _circle(alerts: dict[str, Alert], start: str) -> list[str]:
    """The way from an alert over those that suppress it back to itself; [] when there is none."""
    came_from: dict[str, str] = {}
    ahead = [start]
    while ahead:
        name = ahead.pop()
        for other in alerts[name].suppressed_by if name in alerts else ():
            if other == start:
                way = [name]
                while way[-1] != start:
                    way.append(came_from[way[-1]])
                return way[::-1]
            if other not in came_from:
                came_from[other] = name
                ahead.append(other)
    return []


def alarm_words(view: View) -> Iterator[Diagnostic]:
    """NX2714."""
    for name, alert in view.model.site.alerts.items():
        if alert.priority is None:
            for key in ("response", "consequence", "group"):
                if getattr(alert, key) is not None:
                    message = f"'{key}' belongs to an alarm, and the alert has no priority"
                    yield finding("NX2714", message, where=("alerts", name, key), on_key=True, hint="priority: medium")


def alarm_no_data(view: View) -> Iterator[Diagnostic]:
    """NX2715."""
    for name, alert in view.model.site.alerts.items():
        tag = view.by_path.get(alert.tag or "")
        if tag is None:
            continue
        every_ms = None if isinstance(tag.tag, ExternalTag) else (tag.tag.heartbeat or tag.tag.poll)
        for key in ("no_data_for", "unchanged_for"):
            limit_ms = getattr(alert, key)
            if limit_ms is not None and every_ms is not None and 0 < limit_ms <= every_ms:
                message = f"{limit_ms / 1000:g} s pass between two values of the tag: it is read or sent every {every_ms / 1000:g} s"
                yield finding("NX2715", message, where=("alerts", name, key), hint=f"more than {every_ms / 1000:g} s")


CHECKS = (
    alarm_expression,
    alarm_limits,
    alarm_severity,
    alarm_suppressors,
    alarm_circles,
    alarm_words,
    alarm_no_data,
)
