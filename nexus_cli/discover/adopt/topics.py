"""What became of each topic of a broker, from the proposal of a discovery and the edit that it made. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from nexus_cli.discover.adopt.entries import ADOPTED, LEFT, PRESENT, Entry
from nexus_cli.discover.merge import Merged
from nexus_cli.discover.propose import Proposal

COVERED = "covered by the glob "


def topic_entries(proposals: Sequence[Proposal], merged: Merged, *, held: Collection[str]) -> tuple[Entry, ...]:
    """One entry for each topic that came in; of a Sparkplug birth one for each metric.

    Args:
        proposals: What was found.
        merged: What the edit adds, and what it had to leave out.
        held: Globs of external devices that the site has, as `area/line/device/GLOB`.
    """
    added = {f"{place}/{name}" for place, names in merged.added.items() for name in names}
    refused = {one.what.partition(": ")[0]: one.reason for one in merged.skipped if ": " not in one.what}
    entries: list[Entry] = []
    for proposal in proposals:
        for device in proposal.devices:
            for tag in device.tags:
                path, original = f"{device.place}/{tag.name}", "/".join(tag.original)
                reason = refused.get(original, "")
                what = f"{device.place}/{original}"
                if path in added:
                    entries.append(Entry(what=what, state=ADOPTED, becomes=f"tag {path} ({tag.keys.get('type', '')})"))
                elif path in merged.kept or not reason:
                    entries.append(Entry(what=what, state=PRESENT, becomes=f"tag {path}"))
                else:
                    entries.append(Entry(what=what, state=LEFT, reason=reason))
        entries += [_skipped(one.what, one.reason, held) for one in proposal.skipped]
    return tuple(entries)


def _skipped(what: str, reason: str, held: Collection[str]) -> Entry:
    """A topic without a tag of its own: stored by a glob of its device, or left out."""
    if not reason.startswith(COVERED):
        return Entry(what=what, state=LEFT, reason=reason)
    glob = reason.removeprefix(COVERED).partition("'")[2].partition("' of ")
    path = f"{glob[2].partition(':')[0]}/{glob[0]}"
    return Entry(what=what, state=PRESENT if path in held else ADOPTED, becomes=f"glob {path}")
