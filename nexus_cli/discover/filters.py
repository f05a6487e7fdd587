"""The filters --include, --exclude and --depth, and a message when nothing is left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nexus_cli.access.globs import matches_glob
from nexus_cli.diagnostics.suggest import did_you_mean

if TYPE_CHECKING:
    from nexus_cli.discover.found import Discovery

SOME = 4
"""Names that a hint gives as examples."""
_NOT_INCLUDED, _EXCLUDED, _DEEPER = "not in --include", "in --exclude", "deeper than"
_ALIKE_AMONG = 2000
"""Names among which a similar one is looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Limits and filters of a walk.

    Attributes:
        include: Path globs over the original names; empty takes everything. A glob without `/` is about the last name.
        exclude: Globs to leave out; they win.
        depth: Most levels, 0 for all.
        max_nodes: End after so many values, 0 for no end.
        rate_per_s: Most values a second, 0 for no limit.
        start: Where to begin, in the protocol's spelling.
        properties: OPC UA: also properties that describe no other value.
        listen_s: MQTT: how long to listen; retained messages come at once, the rest when they are published.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    depth: int = 0
    max_nodes: int = 0
    rate_per_s: float = 0.0
    start: str = ""
    properties: bool = False
    listen_s: float = 3.0

    @property
    def partial(self) -> bool:
        """True when something is left out on purpose."""
        return bool(self.include or self.exclude or self.depth or self.max_nodes or self.start)


def wanted_of(stored: Mapping[str, Any]) -> Wanted:
    """Filters and limits as a row of the database has them; what is no field of them is left out."""
    said = {name: value for name, value in stored.items() if name in Wanted.__dataclass_fields__}
    globs = {name: tuple(said.get(name, ())) for name in ("include", "exclude")}
    return Wanted(**{**said, **globs})


def left_out(path: tuple[str, ...], wanted: Wanted) -> str:
    """Why the filters leave a value out, "" when they take it."""
    if wanted.include and not any(_covers(glob, path) for glob in wanted.include):
        return _NOT_INCLUDED
    if any(_covers(glob, path) for glob in wanted.exclude):
        return _EXCLUDED
    if wanted.depth and len(path) > wanted.depth:
        return f"{_DEEPER} {wanted.depth} levels (--depth)"
    return ""


def _covers(glob: str, path: tuple[str, ...]) -> bool:
    levels = [level.replace("/", "-") for level in path]
    return matches_glob(glob, "/".join(levels) if "/" in glob or glob == "**" else levels[-1] if levels else "")


def why_nothing(discoveries: Iterable[Discovery], wanted: Wanted) -> str:
    """A message when the filters left nothing: the number of values, and a few names; "" for another cause."""
    names = [
        one.what
        for discovery in discoveries
        for one in discovery.skipped
        if one.reason.startswith((_NOT_INCLUDED, _EXCLUDED, _DEEPER))
    ]
    if not names:
        return ""
    count = f"{len(names)} value{'' if len(names) == 1 else 's'} there"
    some = ", ".join(names[:SOME]) + (", …" if len(names) > SOME else "")
    near = _similar(wanted.include, names)
    return f"{near + ' ' if near else ''}{count}, left out by {_options(wanted)}: {some}"


def _options(wanted: Wanted) -> str:
    given = {"--include": wanted.include, "--exclude": wanted.exclude, "--depth": wanted.depth}
    return " and ".join(option for option, value in given.items() if value)


def _similar(globs: Sequence[str], names: Sequence[str]) -> str:
    """A name that is similar to one of the globs; a glob without `/` matches the last level."""
    for glob in globs:
        known = {name if "/" in glob else name.rpartition("/")[2]: None for name in names[:_ALIKE_AMONG]}
        hint = did_you_mean(glob.strip("*/"), known)
        if hint.startswith("did"):
            return hint
    return ""
