"""Newest values from web, of those tags that the caller may read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.json_value import JsonObject

if TYPE_CHECKING:
    from nexus_cli.wire.web_client import WebClient

NOT_READABLE = "NX6802"
AT_ONCE = 100
"""Paths in one question."""


async def readable_values(web: WebClient, paths: Sequence[str]) -> Mapping[str, JsonObject]:
    """By path what web says (`TagValue`); a tag that is not there, or may not be read, is left out.

    Raises:
        NexusError: Web is away, or refuses the caller altogether.
    """
    found: dict[str, JsonObject] = {}
    for start in range(0, len(paths), AT_ONCE):
        found.update(await _some(web, paths[start : start + AT_ONCE]))
    return found


async def _some(web: WebClient, paths: Sequence[str]) -> Mapping[str, JsonObject]:
    """The values of some paths. Web refuses them all for one that may not be read: then halves are asked for."""
    try:
        return {each["path"]: each for each in (await web.post("/values", {"paths": list(paths)}))["values"]}
    except NexusError as error:
        if error.code != NOT_READABLE:
            raise
    if len(paths) == 1:
        return {}
    middle = len(paths) // 2
    return {**await _some(web, paths[:middle]), **await _some(web, paths[middle:])}
