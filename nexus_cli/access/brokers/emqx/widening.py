"""Where EMQX grants more than a subscribe filter says, and the denials that take it back.

EMQX compares the filter of a SUBSCRIBE with a rule as if it were a topic: `a/+` then covers `a/#`, and `a/+/#` too. A
denial of just that text in front helps where the text is known: behind an earlier `+` it is not.
"""

from __future__ import annotations

from collections.abc import Sequence

from nexus_cli.access.evaluate import covers
from nexus_cli.access.grants import Grant
from nexus_cli.diagnostics.errors import NexusError


def widened(filter_: str) -> str | None:
    """The filter that a rule grants beyond what it says, `PREFIX/#`; None when there is none."""
    levels = filter_.split("/")
    if levels[-1] == "#":
        levels = levels[:-1]
    if not levels or levels[-1] != "+":
        return None
    return "/".join([*levels[:-1], "#"])


def denials(grants: Sequence[Grant]) -> tuple[str, ...]:
    """The filters to deny to one principal, as texts, before what it is allowed; sorted.

    Args:
        grants: Its grants to subscribe.

    Raises:
        NexusError: NX7020, a filter whose widening can't be named, and which no other grant covers.
    """
    found = set()
    for grant in grants:
        wide = widened(grant.filter)
        if wide is None or any(covers(other.filter, wide) for other in grants):
            continue
        if "+" in wide.split("/"):
            raise NexusError(
                f"EMQX would let '{grant.principal}' subscribe to more than '{grant.filter}'.",
                code="NX7020",
                cause=f"a client may ask for '{wide}' with any level in place of its '+' ({grant.why})",
                hint="name the level before it, or give the whole branch (`**`)",
            )
        found.add(wide)
    return tuple(sorted(found))
