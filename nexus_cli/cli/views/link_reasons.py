"""Links that are not connected: one by one when they are few, else counted by protocol and reason."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from nexus_cli.local.status_report import LinkReport

MOST_LINKS = 20
MOST_REASONS = 12
_ADDRESS = re.compile(r"\S*\d[\w.-]*:\d+\S*|\b\d{1,3}(?:\.\d{1,3}){3}\b|\b\d+(?:\.\d+)? ?(?:s|ms)\b")


def link_lines(bad: Sequence[LinkReport], *, state: Callable[[str], str]) -> Iterator[str]:
    """Lines about links that are not connected.

    Args:
        bad: Those links.
        state: Writes a state in its column, coloured.
    """
    if len(bad) <= MOST_LINKS:
        for link in bad:
            yield f"    {state(link.state)}  {_named(link)}".rstrip()
        return
    reasons: dict[tuple[str, str, str], list[LinkReport]] = defaultdict(list)
    for link in bad:
        protocol = link.link.partition(":")[0]
        reasons[link.state, protocol, reason(link)].append(link)
    ranked = sorted(reasons.items(), key=lambda item: (-len(item[1]), item[0]))
    for (word, protocol, why), links in ranked[:MOST_REASONS]:
        example = links[0].link if len(links) == 1 else f"{links[0].link} and {len(links) - 1:,} more"
        yield f"    {state(word)}  {len(links):,} {protocol}: {why or 'no reason known'} ({example})"
    if len(ranked) > MOST_REASONS:
        rest = sum(len(links) for _, links in ranked[MOST_REASONS:])
        yield f"    and {rest:,} more, for {len(ranked) - MOST_REASONS} other reasons"


def reason(link: LinkReport) -> str:
    """Why a link is not connected, without its own endpoints, addresses and waits."""
    detail = link.detail.replace(link.link, "it")
    return _ADDRESS.sub("…", detail).strip()


def _named(link: LinkReport) -> str:
    """A link with its gateway and reason; an endpoint that the reason names is not repeated."""
    named = link.link
    detail = link.detail.replace(named, "it")
    detail = detail.replace(named.partition(":")[2], "it") if len(named.partition(":")[2]) > 8 else detail
    return f"{named} ({link.gateway}) {detail}"
