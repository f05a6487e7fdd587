"""Path globs as MQTT filters: `*` is one level, `**` any number, `line-*` what is declared and begins so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from functools import cache

LEVELS = 4
"""`area/line/device/tag`."""


def filters_of(glob: str, paths: Sequence[str], *, exact: bool = False, literal: bool = False) -> tuple[str, ...]:
    """The filters below the site that cover what a glob means.

    Args:
        glob: As in a role's `read` and `write`.
        paths: Declared tag paths: a level that is only partly a wildcard is not expressible in MQTT, and is expanded
            over them.
        exact: True writes a trailing `**` as `+` up to the fourth level instead of `#` (another level follows).
        literal: True gives the matching declared paths themselves.
    """
    if literal:
        return tuple(sorted({path for path in paths if matches_glob(glob, path)}))
    levels = glob.split("/")
    if any("*" in level and level not in ("*", "**") for level in levels):
        return tuple(sorted({path for path in paths if matches_glob(glob, path)}))
    if not exact and levels[-1] == "**" and "**" not in levels[:-1] and len(levels) <= LEVELS:
        return ("/".join(["+" if level == "*" else level for level in levels[:-1]] + ["#"]),)
    return tuple(sorted({"/".join("+" if level == "*" else level for level in form) for form in _spread(levels)}))


def matches_glob(glob: str, path: str) -> bool:
    """True when a glob covers a path, level by level."""
    return any(
        all(fnmatchcase(have, want) for want, have in zip(form, path.split("/"), strict=True))
        for form in _spread(glob.split("/"), count=path.count("/") + 1)
    )


def names_matching(glob: str, names: Iterable[str]) -> tuple[str, ...]:
    """The names that a name or a glob such as `line-*` means, sorted; names have no levels."""
    return tuple(sorted(name for name in names if fnmatchcase(name, glob)))


def _spread(levels: Iterable[str], *, count: int = LEVELS) -> tuple[tuple[str, ...], ...]:
    """Every way to write out `**` so that the glob has `count` levels; nothing when it can't."""
    return _forms(tuple(levels), count)


@cache
def _forms(levels: tuple[str, ...], count: int) -> tuple[tuple[str, ...], ...]:
    if not levels:
        return ((),) if count == 0 else ()
    first, rest = levels[0], levels[1:]
    if first != "**":
        return tuple((first, *tail) for tail in _forms(rest, count - 1)) if count > 0 else ()
    return tuple(("*",) * taken + tail for taken in range(count + 1) for tail in _forms(rest, count - taken))
