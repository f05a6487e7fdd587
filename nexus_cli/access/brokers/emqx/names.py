"""What rules for EMQX may hold: it loads an invalid filter without a word, and such a rule never matches."""

from __future__ import annotations

import re

from nexus_cli.diagnostics.errors import NexusError

MAX_NAME = 128
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,127}\Z")
_PREFIXES = ("$share", "$queue", "$exclusive", "$delayed")


def check_name(name: str) -> None:
    """Refuse a user name that breaks out of a placeholder (`+`, `#`, `/`) or of a bootstrap file.

    Raises:
        NexusError: NX7010.
    """
    if not _NAME.match(name):
        raise NexusError(
            f"'{name[:60]}' can't be a user of EMQX.",
            code="NX7010",
            hint=f"use letters, digits, '.', '_', '-' and '@', at most {MAX_NAME}",
        )


def check_filter(filter_: str) -> None:
    """Refuse what EMQX does not read as the filter that it looks like.

    Raises:
        NexusError: NX7010: no MQTT filter, one with a placeholder, or one with a prefix that EMQX takes off before the rules see it.
    """
    problem = _problem(filter_)
    if problem:
        raise NexusError(f"'{filter_[:200]}' can't be a topic filter of EMQX's rules.", code="NX7010", cause=problem)


def _problem(filter_: str) -> str:
    levels = filter_.split("/")
    if not filter_ or len(filter_.encode()) > 65_535:
        return "a filter has 1 to 65,535 bytes"
    if any(char < " " or char == "\x7f" for char in filter_):
        return "it holds a control character"
    if "${" in filter_:
        return "`${…}` is a placeholder there"
    if filter_.startswith("eq "):
        return "`eq ` in front means the text itself there"
    if levels[0] in _PREFIXES:
        return f"EMQX takes `{levels[0]}/` off before the rules see the topic"
    for position, level in enumerate(levels):
        if level == "+" or (level == "#" and position == len(levels) - 1):
            continue
        if "+" in level or "#" in level:
            return f"level {position + 1} is '{level[:60]}'"
    return ""
