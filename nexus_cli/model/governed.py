"""What governance adds to the normal form: owner, personal data and rules of quality of a tag, and the alerts of the rules.

See docs/decisions/0093.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from msgspec.structs import replace

from nexus_cli.model.alarms import SEVERITY_OF
from nexus_cli.model.config import QualityConfig
from nexus_cli.model.datatype import parse_type
from nexus_cli.model.external import ExternalTag
from nexus_cli.model.governance import QualityRules, does, priority_of
from nexus_cli.model.resources import AlertConfig, PlaceConfig, encode
from nexus_cli.model.site import Area, Calculated, Line, Site, Tag
from nexus_cli.model.snapshot import Attributes

KINDS = ("range", "rate", "flat", "missing")
ALERT_PREFIX = "quality."
"""Alerts of rules begin so: `quality.KIND.AREA.LINE.DEVICE.TAG`."""
ALARM = "alarm"


def about(tag: Tag | ExternalTag | Calculated) -> dict[str, Any]:
    """Fields of a tag's normal form that say something about its data; only what differs from the default."""
    fields: dict[str, Any] = {}
    if tag.owner:
        fields["owner"] = tag.owner
    if tag.pii:
        fields["pii"] = True
    if tag.quality is not None and (rules := quality_config(tag.quality)) is not None:
        fields["quality"] = rules
    return fields


def quality_config(rules: QualityRules) -> QualityConfig | None:
    """Rules in normal form; None where there is none."""
    made: dict[str, Any] = {"range": does(rules, "range") or ""}
    if rules.rate is not None:
        made |= {"rate": rules.rate.do, "rate_above": rules.rate.above, "rate_ms": rules.rate.per}
    if rules.flat is not None:
        made |= {"flat": rules.flat.do, "flat_ms": rules.flat.for_}
    if rules.missing is not None:
        made |= {"missing": rules.missing.do, "missing_ms": rules.missing.for_}
    made |= {f"{kind}_priority": priority_of(rules, kind) or "" for kind in KINDS if does(rules, kind) == ALARM}
    found = QualityConfig(**made)
    return None if found == QualityConfig() else found


def places_of(site: Site) -> dict[str, PlaceConfig]:
    """Areas and lines that say who owns the data below, how it is classed, or that it is about persons."""
    return dict(_places(site))


def _places(site: Site) -> Iterator[tuple[str, PlaceConfig]]:
    for name, area in site.areas.items():
        yield from _place(name, area)
        for line_name, line in area.lines.items():
            yield from _place(f"{name}/{line_name}", line)


def _place(path: str, place: Area | Line) -> Iterator[tuple[str, PlaceConfig]]:
    if place.owner or place.classification or place.pii:
        yield (
            path,
            PlaceConfig(
                description=place.description or "",
                owner=place.owner or "",
                classification=place.classification or "",
                pii=place.pii is True,
            ),
        )


def alert_name(kind: str, path: str) -> str:
    """Name of the alert that a rule of a tag raises."""
    return f"{ALERT_PREFIX}{kind}.{path.replace('/', '.')}"


def quality_alerts(resources: Mapping[str, Attributes]) -> dict[str, Attributes]:
    """`alert.NAME` of each rule with `alarm`, from the devices in normal form; their tags come as they are recorded."""
    found: dict[str, Attributes] = {}
    for address, device in resources.items():
        if not address.startswith("device."):
            continue
        path = address.removeprefix("device.")
        for name, tag in device.get("tags", {}).items():
            if rules := tag.get("quality"):
                for kind in KINDS:
                    if rules.get(kind) == ALARM and _applies(kind, tag):
                        of = f"{path}/{name}"
                        priority = str(rules.get(f"{kind}_priority", ""))
                        alert = replace(_alert(kind, of, tag, rules), priority=priority, severity=SEVERITY_OF[priority])
                        found[f"alert.{alert_name(kind, of)}"] = encode(alert, "on_bad", "severity")
    return found


def _applies(kind: str, tag: Attributes) -> bool:
    """Whether a rule means something for a tag; one that a tag inherited may not."""
    if kind == "range":
        return any(bound is not None for bound in tag.get("range") or ())
    return kind != "rate" or is_number(str(tag.get("published_type") or tag.get("type", "")))


@lru_cache(maxsize=256)
def is_number(type_: str) -> bool:
    """Whether a type is of single numbers."""
    kind = parse_type(type_)
    return kind.numeric and not kind.count


def _alert(kind: str, path: str, tag: Attributes, rules: Attributes) -> AlertConfig:
    if kind == "range":
        low, high = tag.get("range") or (None, None)
        text = f"{path} is outside its range"
        if low is not None and high is not None:
            return AlertConfig(tag=path, description=text, outside=(low, high))
        return AlertConfig(tag=path, description=text, above=high, below=low)
    if kind == "rate":
        above = float(rules["rate_above"])
        per_ms = int(rules.get("rate_ms", QualityConfig().rate_ms))
        text = f"{path} moves faster than it can"
        return AlertConfig(tag=path, description=text, rate_above=above, rate_below=-above, rate_per_ms=per_ms)
    if kind == "flat":
        return AlertConfig(tag=path, description=f"{path} does not move", unchanged_for_ms=int(rules["flat_ms"]))
    return AlertConfig(tag=path, description=f"{path} does not come", no_data_for_ms=int(rules["missing_ms"]))
