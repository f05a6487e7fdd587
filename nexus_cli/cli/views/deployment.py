"""A deployment: its progress line by line, and the table it ends with."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import tzinfo
from typing import TYPE_CHECKING

from msgspec import structs

from nexus_cli.cli.views.clock import clock_text
from nexus_cli.diagnostics.printable import plain
from nexus_cli.plan.text_groups import places
from nexus_cli.wire.control import Deployment, DeploymentProgress, JournalLine, TableRow

if TYPE_CHECKING:
    from nexus_cli.project.live import NotGood
    from nexus_cli.project.show import RecordedState

Style = Callable[[str, str], str]
STATES = {"applied": "good", "failed": "error", "skipped": "dim", "unknown": "warning"}
MOST_ROWS = 40
_FIGURES = re.compile(r"[A-Za-z0-9_.-]*\d[A-Za-z0-9_.:/-]*")
MOST_TAGS = 8
VERBS = {
    "away": "control does not answer; asking again for {subject} s, the deployment continues when control is back",
    "sequences": "waiting for the run {subject} of a sequence to end",
    "resume": "continuing from the journal",
    "lock": "the lock was broken",
    "before": "running sequence {subject} before the change",
    "record": "recording",
    "rights": "giving rights at the broker",
    "revoke": "taking old rights away",
    "notify": "notifying gateway {subject}",
    "observe": "waiting for gateway {subject}",
    "clear": "clearing retained messages",
    "finalise": "finishing",
    "after": "running sequence {subject} after the change",
    "verify": "looking for GOOD values",
}


def progress_line(line: JournalLine) -> str | None:
    """One line of the journal for people; None for entries that are not shown."""
    line = plain(line)
    text = VERBS.get(line.step, line.step).format(subject=line.subject)
    if line.state == "begun":
        return None if line.step in ("rights", "notify", "revoke", "finalise") else f"{text} …"
    if line.state == "failed":
        return f"{text}: failed: {line.detail.get('message', '')}".rstrip(": ")
    if line.step == "observe":
        return f"gateway {line.subject} runs it"
    return None


def deployment_text(found: DeploymentProgress, *, style: Style, not_good: Sequence[NotGood] = ()) -> str:
    """How a deployment ended: what is not simply well row by row, then the counts.

    Args:
        found: At its end.
        style: Colours.
        not_good: Tags that it left not GOOD.
    """
    found, not_good = plain(found), plain(not_good)
    rows, left_out = found.table, found.left_out
    notable = [row for row in rows if row.state != "applied" or row.verification in ("failed", "unverified")]
    if len(rows) > MOST_ROWS:
        lines = list(_folded(notable, style))
        if left := len(rows) - len(notable) + left_out:
            lines.append(style(f"  … and {left:,} more, applied", "dim"))
    else:
        width = max((len(row.address) for row in rows), default=0)
        lines = [_row(row, width, style) for row in rows]
        if left_out:
            lines.append(f"  … and {left_out:,} more")
    return "\n".join(
        [*lines, "", _end(found, style), *_not_good(not_good, style), *_next(found, not_good, style)]
    ).lstrip("\n")


def _folded(rows: Sequence[TableRow], style: Style) -> Iterator[str]:
    """Rows of a long table, grouped by how they ended; numbers and addresses in their reasons do not separate groups."""
    groups: dict[tuple[str, ...], list[TableRow]] = {}
    for row in rows:
        reason = _FIGURES.sub("#", row.detail)
        groups.setdefault((row.state, row.verification, reason), []).append(row)
    heads = [
        structs.replace(group[0], address=f"{len(group):,} alike") if len(group) > 1 else group[0]
        for group in groups.values()
    ]
    width = max((len(head.address) for head in heads[:MOST_ROWS]), default=0)
    for head, group in zip(heads[:MOST_ROWS], groups.values(), strict=False):
        yield _row(head, width, style)
        if len(group) > 1:
            yield style(f"      {places(row.address for row in group)}", "dim")
    if more := sum(len(group) for group in list(groups.values())[MOST_ROWS:]):
        yield f"  … and {more:,} more that did not end well (--format json shows all)"


def _not_good(tags: Sequence[NotGood], style: Style) -> list[str]:
    """The first tags without a GOOD value, each with its reason."""
    if not tags:
        return []
    width = max(len(each.path) for each in tags[:MOST_TAGS])
    lines = ["", "Not GOOD yet:"]
    for each in tags[:MOST_TAGS]:
        quality = style(f"{each.quality:9}", "error" if each.quality == "BAD" else "warning")
        lines.append(f"  {each.path:{width}}  {quality}  {each.reason}".rstrip())
    if len(tags) > MOST_TAGS:
        lines.append(style(f"  … and {len(tags) - MOST_TAGS} more", "dim"))
    return [*lines, ""]


def _next(found: DeploymentProgress, not_good: Sequence[NotGood], style: Style) -> list[str]:
    """Where to look when values are missing or devices don't answer."""
    rows = found.table
    if any(row.verification in ("failed", "unverified") for row in rows):
        return [style("Which links are down, and why: nexus status, nexus logs", "dim")]
    if any("not GOOD" in row.detail for row in rows):
        words = "All of them, live" if not_good else "Which tags, and why"
        return [style(f"{words}: nexus tail --where 'quality!=GOOD'", "dim")]
    return []


def _row(row: TableRow, width: int, style: Style) -> str:
    state = style(f"{row.state:8}", STATES.get(row.state, "dim"))
    verification = {"failed": "error", "unverified": "warning", "verified": "good"}.get(row.verification)
    word = "unreachable" if row.verification == "failed" else row.verification
    checked = style(f"{word:10}", verification) if verification else " " * 10
    return f"  {row.address:{width}}  {state}  {checked}  {row.detail}".rstrip()


def _end(found: Deployment, style: Style) -> str:
    counts = found.counts
    words = {"applied": "Applied", "partly": "Partly applied", "failed": "Failed, nothing changed"}
    head = style(f"{words.get(found.outcome, found.outcome)}", "bold")
    parts = [f"{counts.get(state, 0)} {state}" for state in ("applied", "failed", "skipped", "unknown")]
    sure = [f"{counts.get(state, 0)} {state}" for state in ("verified", "unverified") if counts.get(state)]
    if counts.get("verification_failed"):
        sure.append(f"{counts['verification_failed']} not reachable any more")
    return f"{head} as deployment {found.number}: {', '.join(parts)}" + (f" ({', '.join(sure)})." if sure else ".")


def _old_paths(state: RecordedState, *, zone: tzinfo | None) -> list[str]:
    """Old paths under which values are published, and until when."""
    said = []
    for each in state.aliases:
        until = clock_text(each.until, zone=zone)
        when = (
            f"until {until}"
            if each.left_us
            else f"over since {until}: the entry in `moved:` can lose its `keep_old_for`"
        )
        said.append(f"  {each.to} also under {each.old} {when}")
    return ["", "old paths", *said] if said else []


def state_text(state: RecordedState, *, style: Style, zone: tzinfo | None = None) -> str:
    """The recorded state: how many resources of each kind, the lock, the newest deployments."""
    kinds: dict[str, int] = {}
    for address in state.digests:
        kind = address.partition(".")[0]
        kinds[kind] = kinds.get(kind, 0) + 1
    lines = [style(state.site, "bold") + f", deployment {state.deployment}, {state.digest[:19]}…"]
    lines += [f"  {count:6} {kind}" for kind, count in sorted(kinds.items())]
    lines += _old_paths(state, zone=zone)
    lock = state.lock
    if lock is not None:
        lines += [
            "",
            f"locked by {lock.owner} since {clock_text(lock.acquired, zone=zone)} {lock.reason}".rstrip(),
        ]
    if state.deployments:
        lines += ["", style("deployments", "bold")]
        lines += [
            f"  {each.number:5}  {clock_text(each.started, zone=zone)}  {each.outcome:8}  {each.who}  {each.reason}".rstrip()
            for each in state.deployments[:20]
        ]
    return "\n".join(lines)
