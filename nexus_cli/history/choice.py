"""Series by path or glob."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nexus_cli.access.globs import matches_glob
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.suggest import did_you_mean


def chosen_series(known: Mapping[int, str], selectors: Sequence[str]) -> list[int]:
    """The ids of the series whose path fits one of the globs, ordered by path; no glob is all of them.

    Args:
        known: Paths by id, of those that may be chosen.
        selectors: Paths, or globs such as `packaging/**`.

    Raises:
        NexusError: NX6210 nothing fits one of them.
    """
    found: set[int] = set()
    for glob in selectors or ("**",):
        fits = {each for each, path in known.items() if path == glob or matches_glob(glob, path)}
        if not fits:
            hint = did_you_mean(glob, list(known.values())) or "a path, or a glob such as packaging/**"
            raise NexusError(f"No stored tag fits '{glob}'.", code="NX6210", hint=hint)
        found |= fits
    return sorted(found, key=known.__getitem__)
