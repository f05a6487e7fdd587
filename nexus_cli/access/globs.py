"""Path globs as MQTT filters: `*` is one level, `**` any number, `line-*` what is declared and begins so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
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
    if literal or has_partial_level(glob):
        return tuple(sorted({path for path in paths if matches_glob(glob, path)}))
    levels = glob.split("/")
    if not exact and levels[-1] == "**" and "**" not in levels[:-1] and len(levels) <= LEVELS:
        return ("/".join(["+" if level == "*" else level for level in levels[:-1]] + ["#"]),)
    return tuple(sorted({"/".join("+" if level == "*" else level for level in form) for form in _spread(levels)}))


def forms_of(glob: str) -> tuple[tuple[str, ...], ...]:
    """Every way to write a glob out at the four levels of a tag's path, without `**`."""
    return _forms(tuple(glob.split("/")), LEVELS)


def level_fits(want: str, have: str) -> bool:
    """True when a level of a glob, `line-*` say, matches a level of a path."""
    return _level(want)(have)


def shortened(glob: str) -> str:
    """A glob without the `*` in front of a last `**`: below a declared level both mean the same."""
    levels = glob.split("/")
    while levels[-1] == "**" and len(levels) > 1 and levels[-2] in ("*", "**"):
        del levels[-2]
    return "/".join(levels)


def widens(filter_: str) -> bool:
    """True for a filter to subscribe to that a broker reads as a wider one, and that no second rule bounds.

    EMQX lets `a/#` pass under the rule `a/+`. A refusal of `a/#` in front bounds it, which has to name each of them: a
    `+` further in front makes that impossible. Source: EMQX 5.8 `emqx_topic:match/2`, run.
    """
    levels = filter_.split("/")
    ends = levels[:-2] if levels[-2:] == ["+", "#"] else levels[:-1] if levels[-1] == "+" else []
    return "+" in ends


def has_partial_level(glob: str) -> bool:
    """True when a level is only partly a wildcard, such as `line-*`."""
    return any("*" in level and level not in ("*", "**") for level in glob.split("/"))


def overlap(one: str, other: str) -> str | None:
    """The glob of what two globs both match, each with `**` at its end alone; None when they have nothing in common.

    Levels that are partly wildcards stay so in the answer (`has_partial_level`); of two at one place the
    first is taken, which is then too wide: a filter of MQTT can't express both anyway.
    """
    left, right = one.split("/"), other.split("/")
    found: list[str] = []
    for position in range(max(len(left), len(right)) + 1):
        if left[position : position + 1] == ["**"]:
            return "/".join(found + right[position:])
        if right[position : position + 1] == ["**"]:
            return "/".join(found + left[position:])
        if position == len(left) or position == len(right):
            return "/".join(found) if len(left) == len(right) else None
        level = _both(left[position], right[position])
        if level is None:
            return None
        found.append(level)
    return None


def _both(one: str, other: str) -> str | None:
    if one == "*":
        return other
    if other == "*" or ("*" in one and "*" in other):
        return one
    if "*" in one:
        return other if _level(one)(other) else None
    return one if _level(other)(one) else None


def matches_glob(glob: str, path: str) -> bool:
    """True when a glob covers a path, level by level."""
    have = path.split("/")
    return any(
        all(_level(want)(level) for level, want in zip(have, form, strict=True))
        for form in _spread(glob.split("/"), count=len(have))
    )


def names_matching(glob: str, names: Iterable[str]) -> tuple[str, ...]:
    """The names that a name or a glob such as `line-*` means, sorted; names have no levels."""
    fits = _level(glob)
    return tuple(sorted(name for name in names if fits(name)))


class _Fits:
    """Whether a level matches: `*` is any text, every other sign is itself (external topics may hold `[` and `?`)."""

    __slots__ = ("_pattern", "_text")

    def __init__(self, want: str) -> None:
        self._text = want
        self._pattern = re.compile(".*".join(map(re.escape, want.split("*"))), re.DOTALL) if "*" in want else None

    def __call__(self, have: str) -> bool:
        return have == self._text if self._pattern is None else self._pattern.fullmatch(have) is not None


@cache
def _level(want: str) -> _Fits:
    return _Fits(want)


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
