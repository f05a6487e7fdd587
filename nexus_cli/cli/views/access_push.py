"""What `nexus access push` would do and did: one document, and the text of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from nexus_cli.access.brokers.emqx.database_rule import Rule
from nexus_cli.access.brokers.emqx.difference import AccountChange
from nexus_cli.access.brokers.emqx.present import Setting
from nexus_cli.project.access_push import Push, settings_in_words
from nexus_cli.project.access_push_run import Done

Style = Callable[[str, str], str]
MOST_RIGHTS = 20
"""Rights of one account that are shown; more are counted."""
_USER = {
    "create": "user is made",
    "password": "another password",
    "superuser": "was a superuser, whom no rule holds back, and is none any more",
    "again": "password is sent again: this machine does not know what EMQX has",
    "remove": "user is removed",
}


def document(push: Push, done: Done | None) -> dict[str, Any]:
    """The push as plain JSON; without any secret.

    Args:
        push: What is to do.
        done: What was done; None before it.
    """
    found = push.difference
    settings: list[Setting] = [*push.settings, *([Setting.NO_MATCH] if _denies(push) else [])]
    return {
        "broker": "emqx",
        "url": push.url,
        "version": push.present.version,
        "site": f"{push.accounts.enterprise}/{push.accounts.site}",
        "suffix": push.accounts.suffix,
        "changes": [_change(push, each) for each in found.changes],
        "same": found.same,
        "steps": len(found.steps) + len(push.settings),
        "without_password": [push.accounts.principal(name) or name for name in found.without_password],
        "settings": settings_in_words(settings, most=push.most),
        "doubts": [{"code": one.code, "text": one.text, "hint": one.hint, "blocks": one.blocks} for one in push.doubts],
        "done": None if done is None else _done(done),
    }


def _denies(push: Push) -> bool:
    return any(step.does.value == "deny" for step in push.difference.steps)


def _change(push: Push, change: AccountChange) -> dict[str, Any]:
    return {
        "principal": push.accounts.principal(change.account) or change.account,
        "account": change.account,
        "is": _kind(push, change),
        "gains": _words(change.gains),
        "loses": _words(change.losses),
        "keeps": _words(
            rule for rule in change.new if rule.allows and rule not in change.old and rule not in change.gains
        ),
        "rules": len(change.new),
        "user": change.user,
        "ends_sessions": change.kick,
        "resumed": change.resumed,
        "at_once": change.at_once,
    }


def _kind(push: Push, change: AccountChange) -> str:
    if change.gone:
        return "removed"
    known = change.account in push.present.users or change.account in push.present.rules
    return "changed" if known else "new"


def _words(rules: Iterable[Rule]) -> list[str]:
    return [rule.words() for rule in rules]


def _done(done: Done) -> dict[str, Any]:
    return {
        "requests": done.steps,
        "kicked": done.kicked,
        "gone_s": done.gone_s,
        "tried": done.tried,
        "untried": done.untried,
    }


def plan_text(data: dict[str, Any], *, style: Style) -> str:
    """What a push would do, in plain words."""
    lines = [f"EMQX {data['version']} at {data['url']}, accounts that end with {data['suffix']}"]
    for doubt in data["doubts"]:
        name = "error" if doubt["blocks"] else "warning"
        lines += ["", style(f"{name}[{doubt['code']}]", name) + f": {doubt['text']}", f"  = hint: {doubt['hint']}"]
    if data["settings"]:
        lines += ["", style("settings of the whole cluster; they concern every tenant:", "warning")]
        lines += [f"  ~ {text}" for text in data["settings"]]
    for change in data["changes"]:
        lines += ["", *_change_lines(change, style)]
    if data["without_password"]:
        names = ", ".join(data["without_password"])
        lines += ["", f"no password is known here, so no user is made: {names}"]
    return "\n".join([*lines, "", _summary(data)])


def _change_lines(change: dict[str, Any], style: Style) -> list[str]:
    sign, colour = {"new": ("+", "good"), "removed": ("-", "error"), "changed": ("~", "warning")}[change["is"]]
    lines = [style(f"{sign} {change['principal']}", colour) + f"  {change['is']}"]
    listed = (("may now", "+", "gains"), ("may no longer", "-", "loses"), ("may still", "=", "keeps"))
    for word, sign, rights in ((word, sign, change[key]) for word, sign, key in listed):
        lines += [f"    {sign} {word} {right}" for right in rights[:MOST_RIGHTS]]
        if len(rights) > MOST_RIGHTS:
            lines.append(f"    {sign} … and {len(rights) - MOST_RIGHTS:,} more")
    if not change["gains"] and not change["loses"] and change["is"] == "changed" and not change["user"]:
        lines.append("    ~ the same rights, written otherwise")
    if change["user"]:
        lines.append(f"    ~ {_USER[change['user']]}")
    if change["resumed"]:
        lines.append("    ! an earlier push was cut before its sessions were ended")
    if change["at_once"]:
        lines.append("    ! old and new rules don't fit in one entry: they are replaced at once")
    if change["ends_sessions"]:
        lines.append("    ! its sessions are ended; clients connect again by themselves")
    return lines


def _summary(data: dict[str, Any]) -> str:
    kinds = [change["is"] for change in data["changes"]]
    if not kinds and not data["settings"]:
        return f"Nothing to do: {data['same']:,} accounts are as they should be."
    counts = ", ".join(f"{kinds.count(kind):,} {kind}" for kind in ("new", "changed", "removed"))
    return f"Accounts: {counts}, {data['same']:,} unchanged; {data['steps']:,} steps."


def done_text(data: dict[str, Any], *, style: Style) -> str:
    """What was done."""
    done = data["done"]
    sessions = sum(len(ids) for ids in done["kicked"].values())
    lines = [style("Pushed", "good") + f": {done['requests']:,} requests, {sessions:,} sessions ended."]
    if done["gone_s"] is not None:
        lines.append(f"The last session with a removed right was gone {done['gone_s']:.1f} s after it was withdrawn.")
    for account, filter_ in done["tried"].items():
        lines.append(f"Canary: refused to subscribe {filter_} with the rules of {account}.")
    if done["untried"]:
        lines.append(f"Canary: not tried, {done['untried']}.")
    return "\n".join(lines)
