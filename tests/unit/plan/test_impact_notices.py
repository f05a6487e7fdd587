"""What a plan says about channels, routes and the digest."""

from __future__ import annotations

from typing import Any

import pytest

from nexus_cli.plan.change import Action, Change
from nexus_cli.plan.impact_notices import channel_lines, digest_lines, route_lines

MAIL = {"kind": "mail", "to": ["s@acme.example"], "sender": "n@acme.example", "server": "mail.acme.example:587"}
HOOK = {"kind": "webhook", "url": "https://ops.acme.example/secret-path?token=1"}
ROUTE = {
    "to": ["board"],
    "priorities": ["high", "critical"],
    "hours": ["sat"],
    "escalate": [{"after_ms": 300_000, "to": ["boss"]}],
}


def said(kind: str, before: dict[str, Any] | None, after: dict[str, Any] | None) -> list[str]:
    action = Action.CREATE if before is None else Action.FORGET if after is None else Action.UPDATE
    keys = tuple(
        sorted(key for key in {*(before or {}), *(after or {})} if (before or {}).get(key) != (after or {}).get(key))
    )
    change = Change(address=f"{kind}.x", action=action, before=before, after=after, keys=keys)
    lines = {"channel": channel_lines, "route": route_lines, "digest": digest_lines}[kind](change)
    return [text for plane, text in lines if plane == "people"]


@pytest.mark.parametrize(
    ("kind", "before", "after", "wanted"),
    [
        ("channel", None, MAIL, ["channel x reaches people by mail to s@acme.example over mail.acme.example:587 (STARTTLS)"]),
        ("channel", None, HOOK, ["channel x reaches people by webhook at https://ops.acme.example"]),
        ("channel", None, {"kind": "url", "url": "slack://a/b/c"}, ["channel x reaches people by Apprise (slack://…)"]),
        ("channel", None, {"kind": "url", "url": "${env:SMS}"}, ["channel x reaches people by Apprise at ${env:SMS}"]),
        ("channel", HOOK, {**HOOK, "url": "https://ops.acme.example/b"}, ["channel x has another address or other secrets, also for messages that wait"]),
        (
            "channel",
            MAIL,
            {**MAIL, "security": "none"},
            [
                "channel x reaches people by mail to s@acme.example over mail.acme.example:587 (no encryption) instead of "
                "mail to s@acme.example over mail.acme.example:587 (STARTTLS), also with messages that wait"
            ],
        ),
        ("channel", MAIL, {**MAIL, "description": "The shift."}, []),
        ("channel", MAIL, None, ["channel x reaches no one any more; messages that wait for it fail (nexus jobs list --state failed)"]),
        (
            "route",
            None,
            ROUTE,
            ["route x: alarms of priority high, critical at sat reach board", "route x: after 5m boss, while no one acknowledges"],
        ),
        ("route", None, {"to": ["board"]}, ["route x: all alarms reach board"]),
        (
            "route",
            ROUTE,
            {"to": ["board", "phone"], "groups": ["line-*"], "returned": True},
            [
                "route x takes alarms of group line-* instead of alarms of priority high, critical at sat",
                "route x also reaches phone",
                "route x says when the condition is over",
                "route x escalates to no one; alarms that are active now escalate as it was",
            ],
        ),
        ("route", ROUTE, None, ["route x: alarms of priority high, critical at sat no longer reach board by it"]),
        ("digest", None, {"every_ms": 60_000}, ["in a flood a digest comes every 1m instead of 5m"]),
        ("digest", {"above": 20}, None, ["a flood begins above 10 alarms in 10 minutes and ends below 5 (so far 20 and 5)"]),
    ],
)  # fmt: skip
def test_who_is_reached(kind: str, before: Any, after: Any, wanted: list[str]) -> None:
    assert said(kind, before, after) == wanted
    assert not any("secret" in text and "other secrets" not in text for text in said(kind, before, after))
