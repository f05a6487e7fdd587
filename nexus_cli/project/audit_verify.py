"""`nexus audit verify`: is the audit trail what was written? Page by page, against anchors that were kept elsewhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.settings import Settings, load_settings
from nexus_cli.wire.control_chain import ChainDamage, ChainHead, ChainQuestion
from nexus_cli.wire.http import ControlClient

ANCHORS_FILE = "audit-anchors.log"
"""Control's own, in the runtime's folder."""
PAGE = 10_000
MOST_NAMED = 1_000
"""Damages that are named one by one; more are counted."""
_ANCHOR = re.compile(r"(?:^|\s)(\d{1,15}):([0-9a-f]{64})\s*$")


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What was found.

    Attributes:
        links: Checked.
        anchors: Compared.
        head: As the head has it.
        damages: What does not fit, the first `MOST_NAMED`.
        count: All of them.
    """

    links: int
    anchors: int
    head: ChainHead
    damages: list[ChainDamage]
    count: int


async def verify(anchor: str = "", *, settings: Settings | None = None, page: int = PAGE) -> Verified:
    """Check the whole chain.

    Args:
        anchor: `NUMBER:DIGEST`, or a file with one at the end of each line; "" takes control's own file where it is.
        settings: Instead of those of this folder.
        page: Links of one question.

    Raises:
        NexusError: NX6461 the anchor can't be read; NX6400, NX6401 control is away or refuses.
    """
    settings = settings or load_settings()
    anchors = read_anchors(anchor, settings)
    number, digest, head = 0, "0" * 64, ChainHead()
    damages: list[ChainDamage] = []
    count = 0
    async with ControlClient(settings) as control:
        while True:
            wanted = {str(at): each for at, each in anchors.items() if number < at <= number + page}
            found = await control.check_chain(ChainQuestion(number=number, digest=digest, anchors=wanted, limit=page))
            count += len(found.damages)
            damages += found.damages[: MOST_NAMED - len(damages)]
            number, digest, head = found.number, found.digest, found.head or head
            if found.end:
                break
    newest = max(anchors, default=0)
    if newest > max(number, head.number) and not any(each.kind == "cut" and each.last >= newest for each in damages):
        text = f"the chain ends at link {number}; the anchor names link {newest}: the newest rows were removed"
        damages.append(ChainDamage(kind="cut", number=number + 1, last=newest, detail=text))
        count += 1
    return Verified(links=number, anchors=len(anchors), head=head, damages=damages, count=count)


def read_anchors(anchor: str, settings: Settings) -> Mapping[int, str]:
    """Digests by number; of a file with lines of several sites only those of this one.

    Raises:
        NexusError: NX6461.
    """
    if one := _ANCHOR.match(anchor):
        return {int(one[1]): one[2]}
    file = Path(anchor) if anchor else settings.home / ANCHORS_FILE
    if not anchor and not file.is_file():
        return {}
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        hint = "give NUMBER:DIGEST, or a file with such a line for each anchor"
        raise NexusError(
            f"The anchor '{anchor[:100]}' can't be read.", code="NX6461", cause=str(error), hint=hint
        ) from None
    found: dict[int, str] = {}
    for line in lines:
        words = line.split()
        if len(words) == 3 and words[1] != settings.site:
            continue
        if one := _ANCHOR.search(line):
            found.setdefault(int(one[1]), one[2])
    if anchor and not found:
        raise NexusError(f"No anchor of {settings.site} is in '{anchor[:100]}'.", code="NX6461")
    return found
