"""`nexus access rotate`: new passwords of people and programs at control, new secrets of NEXUS's own in `.nexus`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nexus_cli.access.accounts import account_in
from nexus_cli.access.grants import RESERVED
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.local.credentials import read_credentials, replace_own
from nexus_cli.local.layout import EXTERNAL, home_of
from nexus_cli.local.probe import broker_problem
from nexus_cli.project.access_remote import rotate as rotate_at_control
from nexus_cli.settings import Settings, load_settings

if TYPE_CHECKING:
    from nexus_cli.wire.control_access import NewPassword

PATIENCE_S = 15.0
LOOK_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    """What has new secrets.

    Attributes:
        passwords: Of users and applications, in clear text, this once.
        own: Principals of NEXUS, sorted; their roles take the new secrets by themselves.
        waiting: Why the broker does not take the new ones yet; "" when it does, or nothing of NEXUS's own changed.
    """

    passwords: tuple[NewPassword, ...]
    own: tuple[str, ...]
    waiting: str = ""

    @staticmethod
    def account(one: NewPassword) -> str:
        """User name at the broker of a new password."""
        return account_in(one.slot, one.principal)


def rotate(settings: Settings, *, names: Sequence[str], everybody: bool, keep_old_s: int) -> Rotated:
    """New secrets for these principals.

    Args:
        settings: The `.nexus` folder, and control.
        names: Users, applications, or NEXUS's own (`nexus.…`).
        everybody: All of them, instead of names.
        keep_old_s: How long the old password of a user stays valid, in seconds.

    Raises:
        NexusError: NX7050 a principal of NEXUS has no secret in this folder, or what control raises. Nothing of
            NEXUS's own is changed then.
    """
    kept = read_credentials(settings.home)["broker"]
    own = (
        sorted(name for name in kept if name.startswith(RESERVED))
        if everybody
        else [name for name in names if name.startswith(RESERVED)]
    )
    for name in own:
        if name not in kept:
            raise NexusError(
                f"No secret of {name} is kept in {settings.home}.",
                code="NX7050",
                hint=did_you_mean(name, kept)
                or "run it where `nexus up` runs; elsewhere its secret is yours to change",
            )
    people = [name for name in names if not name.startswith(RESERVED)]
    found = rotate_at_control(settings, names=people, keep_old_s=keep_old_s) if people or everybody else []
    changed = replace_own(settings.home, own) if own else ()
    return Rotated(passwords=tuple(found), own=changed, waiting=asyncio.run(_proven(settings, changed)))


async def _proven(settings: Settings, changed: Sequence[str]) -> str:
    """Connect with the new secrets until the broker takes them; gives why it does not, after a while."""
    home = home_of(settings)
    if not changed or not settings.broker_url:
        return ""
    if home.read_runtime().broker_kind == EXTERNAL:
        return "the broker is not NEXUS's: `nexus access push`, or its administrator, brings them there"
    begun, last = time.monotonic(), ""
    for name in changed:
        now = load_settings(principal=name, home=settings.home)
        while (problem := await broker_problem(now, timeout_s=LOOK_S * 20)).text:
            last = problem.text
            if time.monotonic() - begun > PATIENCE_S:
                return last
            await asyncio.sleep(LOOK_S)
    return ""
