"""Rules of quality: each has what it needs, and can come true. A rule that a tag inherits and has no use for is no mistake."""

from __future__ import annotations

from collections.abc import Iterator

from nexus_cli.checks.alerts import is_silent
from nexus_cli.checks.view import TagView, View
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic
from nexus_cli.diagnostics.wording import duration
from nexus_cli.model.external import ExternalTag
from nexus_cli.model.governance import QualityRules, does, priority_of
from nexus_cli.model.governed import ALARM, ALERT_PREFIX, KINDS, alert_name, is_number
from nexus_cli.model.resolve import DEFAULT_POLL_MS


def _ruled(view: View) -> Iterator[tuple[TagView, QualityRules]]:
    for tag in view.tags:
        if tag.tag.quality is not None:
            yield tag, tag.tag.quality


def _own(view: View, tag: TagView, kind: str) -> bool:
    """Whether the tag's own text has the rule; a guess, by what is said above it."""
    rule = getattr(tag.tag.quality, kind)
    return all(getattr(above, kind, None) != rule for above in view.levels(tag, "quality"))


def _where(tag: TagView, *keys: str) -> tuple[str | int, ...]:
    return (*tag.where, "quality", *keys)


def quality_without_range(view: View) -> Iterator[Diagnostic]:
    """NX2750."""
    for tag, rules in _ruled(view):
        if rules.range is not None and tag.tag.range is None and _own(view, tag, "range"):
            message = f"'{tag.name}' has a rule about its range, and no range"
            yield finding("NX2750", message, where=_where(tag, "range"), hint="range: [low, high] at the tag")


def quality_rate_of_number(view: View) -> Iterator[Diagnostic]:
    """NX2751."""
    for tag, rules in _ruled(view):
        if rules.rate is not None and not is_number(str(tag.published)) and _own(view, tag, "rate"):
            message = f"'{tag.name}' is {tag.published}: only numbers have a rate of change"
            yield finding("NX2751", message, where=_where(tag, "rate"), on_key=True, hint="remove the rule")


def quality_too_short(view: View) -> Iterator[Diagnostic]:
    """NX2752."""
    for tag, rules in _ruled(view):
        every_ms = tag.tag.poll or DEFAULT_POLL_MS
        for kind, rule in (("flat", rules.flat), ("missing", rules.missing)):
            if (
                rule is not None
                and not isinstance(tag.tag, ExternalTag)
                and rule.for_ <= every_ms
                and _own(view, tag, kind)
            ):
                message = (
                    f"'{tag.name}' comes every {duration(every_ms)}, and counts as {kind} after {duration(rule.for_)}"
                )
                yield finding(
                    "NX2752", message, where=_where(tag, kind, "for"), hint=f"write at least {duration(2 * every_ms)}"
                )


def quality_missing_of_others(view: View) -> Iterator[Diagnostic]:
    """NX2753."""
    for tag, rules in _ruled(view):
        of_others = isinstance(tag.tag, ExternalTag) and rules.missing is not None
        if of_others and rules.missing.do != ALARM and _own(view, tag, "missing"):  # type: ignore[union-attr]
            message = f"'{tag.name}' is published by others: while nothing comes there is no value to flag"
            yield finding("NX2753", message, where=_where(tag, "missing"), on_key=True, hint="do: alarm")


def quality_alert_name(view: View) -> Iterator[Diagnostic]:
    """NX2754."""
    for name in view.model.site.alerts:
        if any(name.startswith(f"{ALERT_PREFIX}{kind}.") for kind in KINDS):
            message = f"'{name}' is called as the alerts of `quality:` rules are"
            yield finding("NX2754", message, where=("alerts", name), on_key=True, hint="choose another name")


def quality_same_name(view: View) -> Iterator[Diagnostic]:
    """NX2755. Only a path with a dot can be called as another one; of two alike the second has the finding."""
    dotted = {path.replace("/", ".") for path in view.by_path if "." in path}
    if not dotted:
        return
    alike: dict[str, list[str]] = {}
    for path in view.by_path:
        if (name := path.replace("/", ".")) in dotted:
            alike.setdefault(name, []).append(path)
    seen: dict[str, str] = {}
    for tag in (view.by_path[path] for paths in alike.values() if len(paths) > 1 for path in paths):
        if (rules := tag.tag.quality) is None:
            continue
        for kind in KINDS:
            if does(rules, kind) != ALARM:
                continue
            name = alert_name(kind, tag.path)
            if seen.setdefault(name, tag.path) != tag.path:
                message = f"the alerts of {tag.path} and {seen[name]} would both be called {name}"
                yield finding("NX2755", message, where=_where(tag, kind), on_key=True, hint="rename one of the tags")


def quality_alarm_unpublished(view: View) -> Iterator[Diagnostic]:
    """NX2756."""
    for tag, rules in _ruled(view):
        for kind in KINDS:
            if does(rules, kind) == ALARM and is_silent(tag):
                message = f"'{tag.name}' is not published, and alerts are raised by what is published"
                yield finding("NX2756", message, where=_where(tag, kind), on_key=True, hint="do: flag")


def quality_priority_of_no_alarm(view: View) -> Iterator[Diagnostic]:
    """NX2757."""
    for tag, rules in _ruled(view):
        for kind in KINDS:
            done = does(rules, kind)
            if priority_of(rules, kind) and done != ALARM and _own(view, tag, kind):
                message = f"'{tag.name}' has a priority for a rule that raises no alarm: it does '{done}'"
                yield finding("NX2757", message, where=_where(tag, kind, "priority"), on_key=True, hint="do: alarm")


CHECKS = (
    quality_without_range,
    quality_rate_of_number,
    quality_too_short,
    quality_missing_of_others,
    quality_alert_name,
    quality_same_name,
    quality_alarm_unpublished,
    quality_priority_of_no_alarm,
)
