"""Whether the attributes of a resource are of its kind, as control accepts them. Unknown keys pass: they are not used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from nexus_cli.access.people import period_us
from nexus_cli.model.access import parse_hours
from nexus_cli.model.access_config import GroupConfig, UserConfig
from nexus_cli.model.alias_config import AliasConfig, is_old_path
from nexus_cli.model.resources import CONFIG_OF, decode

KINDS = tuple(name for name in CONFIG_OF if name not in ("site", "device"))
"""Kinds of resources that have a name, devices apart."""


def problem_of(kind: str, attributes: Mapping[str, Any]) -> str:
    """The fault of a resource's attributes; "" when they are valid."""
    try:
        config = decode(attributes, CONFIG_OF[kind])
    except (msgspec.ValidationError, RecursionError) as error:
        return str(error)
    if isinstance(config, AliasConfig):
        return "" if is_old_path(config.to) else f"'{config.to[:200]}' is no path"
    return _time_problem(config) if isinstance(config, UserConfig | GroupConfig) else ""


def _time_problem(member: UserConfig | GroupConfig) -> str:
    """What is wrong with its period or its hours, which decide over rights; "" when nothing is."""
    try:
        period_us(member, ZoneInfo("UTC"))
        for text in member.hours:
            parse_hours(text)
    except (ValueError, OverflowError) as error:
        return str(error)
    return ""
