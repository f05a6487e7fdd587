"""What a changed device means for sessions: which opens, closes, is set up again or stays, and the gap that costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nexus_cli.diagnostics.wording import counted
from nexus_cli.model.bound import Place
from nexus_cli.plan.change import Action, Attributes, Change, altered_keys
from nexus_cli.plan.link_sessions import Effect, LinkSessions, in_service, place_of
from nexus_cli.plan.load_facts import LinkFacts
from nexus_cli.plan.session_gap import gap, needs_session

Lines = Iterator[tuple[str, str]]
_NEW_WAYS: Mapping[Effect, str] = {
    Effect.OPENS: "opens",
    Effect.RESTARTS: "is set up again",
    Effect.STAYS: "is open",
    Effect.NONE: "does not open: nothing on it is in service",
}


def session_lines(change: Change, sessions: LinkSessions, facts: Mapping[Place, LinkFacts]) -> Lines:
    """Plane and text of what happens to the session of a device.

    Args:
        change: Of a device.
        sessions: What becomes of the sessions.
        facts: What a runtime measured, by gateway and link.
    """
    before, after = change.before or {}, change.after or {}
    if change.action is Action.CREATE:
        yield from _created(after, sessions)
    elif change.action is Action.FORGET:
        yield from _forgotten(before, sessions)
    elif place_of(before) != place_of(after):
        yield from _elsewhere(before, after, sessions, facts)
    else:
        yield from _in_place(change, sessions, facts)
    if change.before is not None and change.after is not None:
        enabled = after.get("enabled", True)
        if before.get("enabled", True) != enabled:
            yield "devices", "comes into service" if enabled else "goes out of service: BAD out_of_service"


def _created(after: Attributes, sessions: LinkSessions) -> Lines:
    place = place_of(after)
    if not place[1]:
        return
    if not in_service(after):
        yield "devices", f"out of service: gateway {place[0]} does not read it over {place[1]}"
        return
    others = sessions.declared.get(place, 1) - 1
    shared = f", shared with {counted(others, 'device')}" if others > 0 else ""
    again = "; its session is set up again" if sessions.effect(after) is Effect.RESTARTS else ""
    yield "devices", f"gateway {place[0]} reads it over {place[1]}{shared}{again}"


def _forgotten(before: Attributes, sessions: LinkSessions) -> Lines:
    place = place_of(before)
    effect = sessions.effect(before)
    if not place[1]:
        return
    if effect is Effect.CLOSES:
        yield "devices", f"{place[1]} is closed"
    elif effect is Effect.STAYS:
        yield "devices", f"{place[1]} stays open for {counted(sessions.active[place], 'device')}"
    elif effect is Effect.NONE:
        yield "devices", f"out of service: {place[1]} had no session"
    else:
        yield "devices", f"{place[1]} {_NEW_WAYS[effect]} for {counted(sessions.active[place], 'other device')}"


def _elsewhere(
    before: Attributes, after: Attributes, sessions: LinkSessions, facts: Mapping[Place, LinkFacts]
) -> Lines:
    """It has another link, or its link another gateway."""
    (old_gateway, old), (new_gateway, new) = place_of(before), place_of(after)
    closed, opened = sessions.effect(before), sessions.effect(after)
    cost = f"; {gap(after, facts)}" if opened in (Effect.OPENS, Effect.RESTARTS) and in_service(after) else ""
    if old == new:
        yield "devices", f"moves from gateway {old_gateway} to {new_gateway}{cost}"
        return
    plain = closed in (Effect.CLOSES, Effect.NONE) and opened in (Effect.OPENS, Effect.NONE)
    if not (old and new) or (plain and in_service(before) and in_service(after)):
        yield "devices", f"session restarts: {old or 'none'} closes, {new or 'none'} opens{cost}"
        return
    left = {
        Effect.CLOSES: "closes",
        Effect.STAYS: f"stays open for {counted(sessions.active.get(place_of(before), 0), 'device')}",
        Effect.RESTARTS: "is set up again",
    }.get(closed, "had no session")
    yield "devices", f"goes to another session: {old} {left}, {new} {_NEW_WAYS.get(opened, 'closes')}{cost}"


def _in_place(change: Change, sessions: LinkSessions, facts: Mapping[Place, LinkFacts]) -> Lines:
    """Gateway and link stay."""
    before, after = change.before or {}, change.after or {}
    link = after.get("link") or "its link"
    effect = sessions.effect(after)
    if effect is Effect.RESTARTS:
        yield "devices", f"session on {link} is set up again with the new connection; {gap(after, facts)}"
        if (sharing := sessions.active[place_of(after)] - in_service(after)) > 0:
            yield "devices", f"{counted(sharing, 'other device')} on {link} wait{'s' * (sharing == 1)} as long"
    elif effect is Effect.OPENS:
        yield "devices", f"{link} opens; {gap(after, facts)}"
    elif effect is Effect.CLOSES:
        yield "devices", f"{link} closes: nothing on it is in service any more"
    elif (changed := altered_keys(before.get("connection"), after.get("connection"))) and not needs_session(
        after, changed
    ):
        yield "devices", f"it is asked with the new {', '.join(changed)}; the session on {link} stays"
    elif effect is Effect.NONE and after.get("link"):
        yield "devices", f"out of service: {link} has no session"
    elif change.tags:
        yield "devices", "its session stays; only the tags below restart"
    elif change.action is Action.UPDATE:
        yield "devices", "its session stays; nothing restarts"
