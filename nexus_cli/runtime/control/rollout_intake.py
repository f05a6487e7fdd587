"""What a new deployment meets of rollouts and maintenance windows: it is refused, or becomes a rollout.

See docs/decisions/0104.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime

from nexus_cli.apply.request import Checked, DeploymentRequest
from nexus_cli.apply.run import Work
from nexus_cli.apply.waves import changes_of, held_by, one_wave, refuse_never, refuse_outside, with_old_addresses
from nexus_cli.database import deployments as db
from nexus_cli.database import rollouts as rows
from nexus_cli.database.connect import Connection
from nexus_cli.database.deployments import Recorded
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.snapshot import Attributes
from nexus_cli.model.window_config import Windows
from nexus_cli.plan.mass_change import SITE
from nexus_cli.wire.control_rollouts import in_words
from nexus_cli.wire.rollout import RolloutRequest


async def refuse_in_flight(conn: Connection, site: str) -> None:
    """Raises NexusError NX5032 (exit code 5) while a rollout is in flight: what it did so far is only a part."""
    one = await rows.active(conn, site)
    if one is not None:
        words = in_words(one.public())
        raise NexusError(
            f"{words[:1].upper()}{words[1:]}.",
            code="NX5032",
            hint=f"wait for its end (`nexus rollout show {one.number}`), or `nexus rollout stop {one.number}`",
        )


async def refuse_left(conn: Connection, site: str, request: DeploymentRequest, recorded: Recorded) -> None:
    """Refuse what a rollout that stopped has left to its later waves, where its gates would not be measured again.

    Raises:
        NexusError: NX5039 (exit code 3). A plan that changes a device of the stopped wave, too, goes out in waves of its own.
    """
    if request.undoes or request.agreed or (request.rollout is not None and request.rollout.at_once):
        return
    found = await rows.newest(conn, site, limit=1)
    if not found or found[0].state != "stopped" or recorded.number not in {wave.deployment for wave in found[0].waves}:
        return
    one = found[0]
    left = {address for wave in one.waves[one.position + 1 :] for address in wave.addresses}
    touched = sorted(left & {*request.changed})
    if touched and not {*one.wave.addresses} & {*request.changed}:
        words = in_words(one.public())
        more = f" and {len(touched) - 1:,} more" if len(touched) > 1 else ""
        raise NexusError(
            f"{touched[0]}{more} would change without the wave that stopped before: nothing changed.",
            code="NX5039",
            cause=words,
        )


async def windows_of(conn: Connection, site: str) -> Windows:
    """The maintenance windows that are recorded."""
    return Windows.recorded((await db.attributes(conn, site, [SITE])).get(SITE, {}))


async def refuse_shut(
    windows: Windows, request: DeploymentRequest, checked: Checked, recorded: Recorded, *, now: datetime
) -> str:
    """Refuse what a shut window holds; gives the names of the shut ones outside of which it goes ahead, "" of none.

    What takes something back is never held.

    Raises:
        NexusError: NX5035 (exit code 3).
    """
    use = request.rollout.window if request.rollout is not None else "refuse"
    if request.undoes or request.agreed or not recorded.digests:
        return ""
    if use == "refuse":
        await asyncio.to_thread(refuse_outside, windows, changes_of(request, checked.changes)[0], now)
    elif use == "ignore":
        held = await asyncio.to_thread(held_by, windows, checked.changes, now)
        return ", ".join(name for name in held.names if not windows.open([name], now))
    return ""


async def note_outside(conn: Connection, site: str, *, who: str, subject: str, reason: str, windows: str) -> None:
    """Write in the audit trail that something goes ahead while these windows are shut; nothing for none."""
    if windows:
        detail = {"reason": reason, "detail": windows}
        await db.write_audit(conn, site, who=who, what="outside-window", subject=subject, detail=detail)


def becomes_rollout(windows: Windows, request: DeploymentRequest, checked: Checked, *, now: datetime) -> bool:
    """Whether it goes out in waves, or waits for a window; any other one is an ordinary deployment.

    Raises:
        NexusError: NX5036, the windows of a wave are never open together; NX5034, it is to be confirmed, too.
    """
    asked = request.rollout
    if asked is None:
        return False
    waits = asked.window == "wait" and not held_by(windows, checked.changes, now).open
    if not asked.waves and not waits:
        return False
    if request.confirm_within_s:
        raise NexusError(
            "A rollout can't be confirmed: its waves soak, and its gates decide; nothing changed.", code="NX5034"
        )
    if asked.window != "ignore":
        refuse_never(windows, changes_of(request, checked.changes), now)
    return True


async def create(
    conn: Connection,
    site: str,
    request: DeploymentRequest,
    checked: Checked,
    *,
    recorded: Recorded,
    before: Mapping[str, Attributes],
    who: str,
    summary: Mapping[str, int],
) -> int:
    """Write a rollout; gives its number. Call in the transaction that saw that nothing else is in flight.

    Raises:
        NexusError: NX5034, its waves do not have each change exactly once.
    """
    asked = request.rollout or RolloutRequest()
    waves = with_old_addresses(asked.waves or one_wave(checked.changes), checked.changes)
    number = await rows.create(
        conn,
        site,
        who=who,
        reason=request.reason,
        request=asked,
        waves=waves,
        plan=Work.accepted(request, checked, before=before, summary=summary).document(),
        digests_before={each: recorded.digests[each] for each in request.changed if each in recorded.digests},
        base=recorded.number,
        expects=recorded.digest,
        run_url=request.run_url,
    )
    detail = {"reason": request.reason, "window": asked.window, "waves": [wave.name for wave in waves]}
    await db.write_audit(conn, site, who=who, what="rollout", subject=f"rollout {number}", detail=detail)
    return number
