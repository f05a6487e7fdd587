"""A gain or loss of rights in words: `ann may now write 3 tags: packaging/line-1/filler/setpoint, …`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nexus_cli.diagnostics.wording import counted

NOW, NO_LONGER = "may now", "may no longer"
VERBS: Mapping[str, str] = {
    "read": "read",
    "write": "write",
    "publish": "publish",
    "subscribe": "subscribe to",
    "run": "run",
    "acknowledge": "acknowledge",
    "alerts": "see",
    "apply": "change",
    "admin": "administer",
}
SHOWN = 3
"""Names that are listed one by one."""


def some(names: Sequence[str]) -> str:
    """A few names, and how many more."""
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def gain_sentence(who: str, action: str, kind: str, names: Sequence[str], word: str) -> str:
    """One sentence, without its point.

    Args:
        who: A principal, or several.
        action, kind: As of a `Gain`; kind `time` is when its rights hold.
        names: What it gained or lost.
        word: `NOW` or `NO_LONGER`.
    """
    if kind == "time":
        return f"{who} {word} use {'; '.join(names)}"
    if kind == "site":
        return f"{who} {word} {VERBS[action]} the site"
    return f"{who} {word} {VERBS[action]} {counted(len(names), kind)}: {some(names)}"
