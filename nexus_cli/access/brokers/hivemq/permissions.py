"""Which grants HiveMQ's permissions can say, and what is written instead of those that they can't.

HiveMQ compares the filter of a SUBSCRIBE with a permission as if it were a topic, and checks nothing when it delivers
(source: `DefaultPermissionsEvaluator` of HiveMQ CE 2025.5, and running it). So a permission to subscribe that ends in `+`
also gives `#` in its place, and one that begins with a wildcard also gives `$…`. There is no deny in either file form.
See docs/decisions/0070.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from nexus_cli.access.brokers.names import check_filter, check_name
from nexus_cli.access.brokers.rendered import Note
from nexus_cli.access.evaluate import covers
from nexus_cli.access.grants import Grant
from nexus_cli.wire.topic import matches

BROKER = "hivemq"


@dataclass(slots=True)
class Sayable:
    """What is written, and the notes about it."""

    grants: list[Grant] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)


def sayable(grants: Iterable[Grant], topics: Collection[str] = ()) -> Sayable:
    """The grants that HiveMQ's permissions can say without giving a topic that was not granted.

    Args:
        grants: Of the whole site: also who publishes where.
        topics: Declared topics, in place of a filter that would give too much.

    Raises:
        NexusError: NX7010, a name or filter that a broker would misread.
    """
    grants = tuple(grants)
    published = [grant.filter for grant in grants if grant.action == "publish"]
    found = Sayable()
    for grant in grants:
        check_name(grant.principal)
        check_filter(grant.filter)
        extra = _extra(grant, grants)
        if not extra:
            found.grants.append(grant)
        elif "$#" not in extra and not any(overlap(each, other) for each in extra for other in published):
            found.grants.append(grant)
            found.notes.append(_note(grant, "NX7013", _HARMLESS))
        else:
            instead = [topic for topic in sorted(set(topics)) if matches(grant.filter, topic)]
            found.grants += [replace(grant, filter=topic) for topic in instead]
            found.notes.append(_note(grant, "NX7014", _LITERAL.format(count=len(instead)) if instead else _LEFT_OUT))
    return found


_HARMLESS = (
    "HiveMQ also lets the user put '#' in place of the '+' at the end; no account of this site may publish what that adds, "
    "so nothing more arrives"
)
_LITERAL = "written as its {count} declared topics: as a wildcard HiveMQ would give more; the client names each topic"
_LEFT_OUT = "left out: HiveMQ would give more than this, and there is no declared topic to write in its place"


def _note(grant: Grant, code: str, text: str) -> Note:
    return Note(broker=BROKER, rule=f"{grant.principal} {grant.action} {grant.filter}", text=text, code=code)


def _extra(grant: Grant, grants: Sequence[Grant]) -> tuple[str, ...]:
    """Filters of the topics that HiveMQ would give beyond a grant; `$#` is all that begin with `$`."""
    if grant.action == "publish":
        return ()
    levels = grant.filter.split("/")
    if levels[0] in ("+", "#"):
        return ("$#",)
    extra = tuple(_below(levels))
    widened = "/".join([*levels[: -2 if levels[-1] == "#" else -1], "#"])
    others = (each for each in grants if each.principal == grant.principal and each.action == "subscribe")
    return () if any(covers(each.filter, widened) for each in others) else extra


def _below(levels: list[str]) -> Iterator[str]:
    if levels[-1] == "+":
        yield "/".join(levels[:-1])
        yield "/".join([*levels, "+", "#"])
    elif levels[-2:] == ["+", "#"]:
        yield "/".join(levels[:-2])


def overlap(one: str, other: str) -> bool:
    """True when some topic is matched by both filters."""
    left, right = one.split("/"), other.split("/")
    for position in range(max(len(left), len(right))):
        pair = {
            left[position] if position < len(left) else None,
            right[position] if position < len(right) else None,
        }
        if "#" in pair:
            return True
        if None in pair or (len(pair) > 1 and "+" not in pair):
            return False
    return True
