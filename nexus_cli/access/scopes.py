"""What a right reaches: from a path glob, a clearance, attributes of devices and denials to tags, and from those to filters.

A broker's list says `allow` alone, so that what is denied is cut out of what is allowed here, over the declared tree: a
filter with a wildcard is used only where the right's path says everything below it, and everything declared there is
permitted. Topics of external devices are not declared one by one: of each of their globs a right reaches what both
mean, or nothing when a denial, or a tag of a higher class, cuts into it (NX2616).

See docs/decisions/0067.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from nexus_cli.access.globs import forms_of, level_fits, matches_glob, overlap
from nexus_cli.access.tree import HIGHEST, Place, Tree, clearance_of, rank_of
from nexus_cli.model.access_config import ScopeConfig

Right = str | ScopeConfig
NOTHING: frozenset[str] = frozenset()


def scope_of(right: Right) -> ScopeConfig:
    """A path glob alone as a scope."""
    return ScopeConfig(path=right) if isinstance(right, str) else right


def fits(scope: ScopeConfig, place: Place) -> bool:
    """True when a device is what a scope asks for, its path apart."""
    return (
        scope.protocol in ("", place.protocol)
        and (not scope.gateway or (place.gateway != "" and level_fits(scope.gateway, place.gateway)))
        and all(place.labels.get(key) == value for key, value in scope.labels.items())
    )


def tags_of(scope: ScopeConfig, place: Place, *, low: int = 0, high: int = HIGHEST) -> frozenset[str]:
    """Names of a device's tags below a scope's path, with a class from rank `low` to `high`."""
    levels = place.path.split("/")
    wanted = {form[3] for form in forms_of(scope.path) if all(map(level_fits, form, levels))}
    if "*" in wanted:
        return frozenset(name for name, rank in place.tags.items() if low <= rank <= high)
    return frozenset(
        name
        for name, rank in place.tags.items()
        if low <= rank <= high and any(level_fits(want, name) for want in wanted)
    )


@dataclass(frozen=True, slots=True)
class Denied:
    """What the denials of all roles of a user take away, whatever allows it.

    Attributes:
        tags: Names of tags, by path of their device.
        globs: Path globs that denials say of an external device's topics, by its path.
    """

    tags: Mapping[str, frozenset[str]]
    globs: Mapping[str, tuple[str, ...]]

    def has(self, path: str) -> bool:
        """True when a denial takes a tag, by its path."""
        device, _, tag = path.rpartition("/")
        return tag in self.tags.get(device, NOTHING)

    def cuts(self, place: Place, glob: str) -> bool:
        """True when a denial takes a part, or all, of a glob of a device's topics."""
        return any(overlap(denied, glob) is not None for denied in self.globs.get(place.path, ()))

    def takes(self, place: Place, glob: str) -> bool:
        """True when one denial takes all of it."""
        return any(overlap(denied, glob) == glob for denied in self.globs.get(place.path, ()))


NONE_DENIED = Denied({}, {})


def denied_by(tree: Tree, denials: Iterable[Right]) -> Denied:
    """What denials mean in a tree: a class in one of them means that class and those above."""
    scopes = [scope_of(one) for one in denials]
    if not scopes:
        return NONE_DENIED
    tags: dict[str, frozenset[str]] = {}
    globs: dict[str, tuple[str, ...]] = {}
    for path, place in tree.places.items():
        asked = [(scope, rank_of(scope.classification) if scope.classification else 0) for scope in scopes]
        found = NOTHING.union(*(tags_of(scope, place, low=low) for scope, low in asked if fits(scope, place)))
        if found:
            tags[path] = found
        if place.globs:
            globs[path] = tuple(scope.path for scope, low in asked if fits(scope, place) and place.rank >= low)
    return Denied(tags, globs)


@dataclass(frozen=True, slots=True)
class Part:
    """What a right reaches of one device.

    Attributes:
        tags: Names of its tags.
        outside: Path globs of its other topics (an external device's).
        whole: Everything that is declared of it is among them.
        cut: Globs of its topics of which a denial, or the class of a declared tag, takes a part only: nothing of them is
            given.
    """

    tags: frozenset[str]
    outside: tuple[str, ...] = ()
    whole: bool = False
    cut: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reach:
    """What one right reaches in a tree.

    Attributes:
        scope: The right.
        parts: By device, of all devices that have anything to reach, whether the right reaches it or not.
    """

    scope: ScopeConfig
    parts: Mapping[str, Part]


def reach(
    tree: Tree,
    right: Right,
    *,
    clearance: str = "",
    denied: Denied = NONE_DENIED,
    external_only: bool = False,
) -> Reach:
    """What a right reaches.

    Args:
        tree: What is declared.
        right: A path glob, or a scope.
        clearance: Of the role; "" is internal.
        denied: What is taken from it.
        external_only: Only devices whose topics others publish.
    """
    scope = scope_of(right)
    high = clearance_of(clearance)
    if scope.classification:
        high = min(high, clearance_of(scope.classification))
    nothing = Part(NOTHING)
    parts = {}
    for path, place in tree.places.items():
        if place.tags or place.globs:
            open_to = fits(scope, place) and (place.external or not external_only)
            parts[path] = _part(scope, place, high, denied) if open_to else nothing
    return Reach(scope, parts)


def _part(scope: ScopeConfig, place: Place, high: int, denied: Denied) -> Part:
    tags = tags_of(scope, place, high=high) - denied.tags.get(place.path, NOTHING)
    outside, cut, whole = [], [], len(tags) == len(place.tags)
    closed = [f"{place.path}/{name}" for name in place.tags.keys() - tags] if place.globs else []
    for glob in place.globs:
        shared = overlap(scope.path, glob) if place.rank <= high else None
        # A glob may mean declared tags, too.
        if shared is not None and (denied.cuts(place, shared) or any(matches_glob(shared, one) for one in closed)):
            if not denied.takes(place, shared):
                cut.append(shared)
            shared = None
        if shared is not None:
            outside.append(shared)
        whole = whole and shared == glob
    return Part(tags, tuple(outside), whole, tuple(cut))


@dataclass(frozen=True, slots=True)
class Cover:
    """The shortest list that says a reach.

    Attributes:
        subtrees: Prefixes (`""`, `area`, `area/line`, `area/line/device`) below which everything is permitted.
        tags: Paths of single tags.
        outside: Path globs of external devices' topics.
    """

    subtrees: tuple[str, ...]
    tags: tuple[str, ...]
    outside: tuple[str, ...]


def cover(found: Reach) -> Cover:
    """The shortest list of subtrees, tags and globs that says what a right reaches; each sorted."""
    forms = forms_of(found.scope.path)
    chosen: list[str] = []
    single: dict[str, Part] = {}
    _descend(list(found.parts.items()), (), forms, chosen, single)
    return Cover(
        tuple(sorted(chosen)),
        tuple(sorted(f"{path}/{tag}" for path, part in single.items() for tag in part.tags)),
        tuple(sorted({glob for part in single.values() for glob in part.outside})),
    )


def _descend(
    parts: Sequence[tuple[str, Part]],
    prefix: tuple[str, ...],
    forms: Sequence[tuple[str, ...]],
    chosen: list[str],
    single: dict[str, Part],
) -> None:
    if not any(part.tags or part.outside for _, part in parts):
        return
    if _says_all_below(forms, prefix) and all(part.whole for _, part in parts):
        chosen.append("/".join(prefix))
    elif len(prefix) == 3:
        single.update(parts)
    else:
        for name, inside in _split(parts, len(prefix)):
            _descend(inside, (*prefix, name), forms, chosen, single)


def _says_all_below(forms: Sequence[tuple[str, ...]], prefix: tuple[str, ...]) -> bool:
    depth = len(prefix)
    return any(all(level == "*" for level in form[depth:]) and all(map(level_fits, form, prefix)) for form in forms)


def _split(parts: Sequence[tuple[str, Part]], level: int) -> Iterator[tuple[str, list[tuple[str, Part]]]]:
    found: dict[str, list[tuple[str, Part]]] = {}
    for path, part in parts:
        found.setdefault(path.split("/")[level], []).append((path, part))
    yield from found.items()
