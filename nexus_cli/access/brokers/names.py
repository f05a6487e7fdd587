"""What every renderer refuses: names and filters that some broker would misread."""

from __future__ import annotations

import re

from nexus_cli.diagnostics.errors import NexusError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,127}\Z")
_LEVEL = re.compile(r"[A-Za-z0-9._@-]+\Z")


def check_name(name: str) -> None:
    """Refuse a name that ends a line, opens a comment, or breaks out of a placeholder (`+`, `#`, `/`, `${{`, `:`).

    Raises:
        NexusError: NX7010.
    """
    if not _NAME.match(name):
        raise NexusError(
            f"'{name[:60]}' can't be a user of the broker.",
            code="NX7010",
            hint="use letters, digits, '.', '_', '-' and '@', at most 128",
        )


def check_filter(filter_: str) -> None:
    """Refuse what is not an MQTT filter of plain levels: an invalid one never matches, or breaks the file.

    Raises:
        NexusError: NX7010.
    """
    levels = filter_.split("/")
    for position, level in enumerate(levels):
        if level == "+" or (level == "#" and position == len(levels) - 1) or _LEVEL.match(level):
            continue
        raise NexusError(
            f"'{filter_[:200]}' can't be a topic filter of the broker's rules.",
            code="NX7010",
            cause=f"level {position + 1} is '{level[:60]}'",
        )
