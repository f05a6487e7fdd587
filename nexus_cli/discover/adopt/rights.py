"""Rules of a broker as rights of a site: path globs that allow no more than the rule, or the reason why there are none. Pure.

A site gives a right where the broker gave it, and nowhere else: a rule that reaches beyond the site is cut to the site, one
that a denial cuts into is left out as a whole, and no user publishes what a gateway publishes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nexus_cli.access.role_grants import is_rule
from nexus_cli.diagnostics.printable import one_line
from nexus_cli.discover.adopt.foreign import ForeignRule
from nexus_cli.model.config import DeviceOutline
from nexus_cli.wire.topic import PLATFORM, glob_to_filter, meet

LEVELS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """Where a site has topics: the filter of a tag, or of a glob of an external device, below enterprise and site.

    Attributes:
        filter: `area/line/device/tag`, or a filter.
        external: Others publish it.
    """

    filter: str
    external: bool


def topics_of(devices: Iterable[tuple[str, DeviceOutline]]) -> tuple[Topic, ...]:
    """All topics of a site."""
    found: list[Topic] = []
    for path, device in devices:
        external = device.protocol == "external"
        found += [Topic(filter=f"{path}/{tag}", external=external) for tag in device.tags]
        found += [Topic(filter=glob_to_filter(glob), external=True) for glob in device.globs]
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """What a rule becomes.

    Attributes:
        read, publish: Path globs of a role.
        reason: Why it becomes nothing, or what of it is left out; "" when it is taken whole.
    """

    read: tuple[str, ...] = ()
    publish: tuple[str, ...] = ()
    reason: str = ""

    @property
    def any(self) -> bool:
        """Whether something of it is taken."""
        return bool(self.read or self.publish)


def rights_of(
    rule: ForeignRule, *, prefix: tuple[str, str], topics: Sequence[Topic], denied: Sequence[ForeignRule]
) -> Adopted:
    """The rights of one rule.

    Args:
        rule: Any rule.
        prefix: Enterprise and site.
        topics: Of the site.
        denied: What is taken away from those who have the rule.
    """
    if rule.odd:
        return Adopted(reason=rule.odd)
    if not rule.allow:
        return Adopted(reason="a denial: a site refuses what no role allows; what it cuts into is left out")
    for other in denied:
        same = (rule.publish and other.publish) or (rule.subscribe and other.subscribe)
        if same and meet(other.filter, rule.filter):
            return Adopted(reason=f"a denial cuts into it: {other.text}")
    if not is_plain(rule.filter):
        return Adopted(reason=f"'{one_line(rule.filter)[:100]}' has a level that no rule of a site can have")
    if rule.filter.startswith(("$", f"{PLATFORM}/")):
        return Adopted(reason="topics of the broker or of the platform")
    rest = below(rule.filter, prefix)
    if rest is None:
        return Adopted(reason=f"not below {'/'.join(prefix)}, where this site's topics are")
    glob = _glob(rest)
    if not is_rule(glob):
        return Adopted(reason=f"'{one_line(rest)[:100]}' has a level that no rule of a site can have")
    return _fitted(rule, glob, rest, topics, cut=glob_to_filter("/".join((*prefix, glob))) != rule.filter)


def _fitted(rule: ForeignRule, glob: str, rest: str, topics: Sequence[Topic], *, cut: bool) -> Adopted:
    """The right on what the site has; reasons for the part that it has not."""
    hit = [topic for topic in topics if meet(rest, topic.filter)]
    if not hit:
        return Adopted(reason="the site declares nothing there: `nexus adopt topics` first")
    read: tuple[str, ...] = ()
    publish: tuple[str, ...] = ()
    left = ["the site's part of it"] if cut else []
    if rule.subscribe:
        read = (glob,)
    if rule.publish:
        ours = next((topic.filter for topic in hit if not topic.external), "")
        if ours:
            left.append(f"not to publish {ours}, which a gateway publishes")
        elif "/" not in glob:
            left.append("not to publish on the whole site")
        else:
            publish = (glob,)
    return Adopted(read=read, publish=publish, reason="; ".join(left))


def is_plain(filter_: str) -> bool:
    """Whether a filter means the same as a glob: wildcards are whole levels, `#` is the last one, and nothing in it is a
    wildcard of globs alone. A rule of `acme/*/x` is about a level that is called `*`."""
    levels = filter_.split("/")
    odd = any(character in level for level in levels if level not in ("+", "#") for character in "*+#")
    return not odd and "#" not in levels[:-1]


def below(filter_: str, prefix: tuple[str, str]) -> str | None:
    """The part of a filter below enterprise and site, `#` where it covers all of it; None when it covers nothing there."""
    levels = filter_.split("/")
    for position, name in enumerate(prefix):
        if position >= len(levels):
            return None
        if levels[position] == "#":
            return "#"
        if levels[position] not in ("+", name):
            return None
    return "/".join(levels[len(prefix) :]) or None


def _glob(rest: str) -> str:
    return "/".join("**" if level == "#" else "*" if level == "+" else level for level in rest.split("/"))
