"""The whole verb `nexus access push`: compile the site, compare, ask, carry out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from nexus_cli.access.accounts import Accounts
from nexus_cli.access.grants_file import read_wanted
from nexus_cli.access.people import Moment
from nexus_cli.atomic import alone
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.project.access_canary import MqttSubscriber
from nexus_cli.project.access_push import Push, open_emqx, prepare
from nexus_cli.project.access_push_memory import PushMemory
from nexus_cli.project.access_push_run import Done, Progress, PushRun
from nexus_cli.project.access_push_wanted import nothing, wanted_of
from nexus_cli.settings import Settings
from nexus_cli.wire.emqx_request import RATE_PER_S
from nexus_cli.wire.emqx_settings import is_loopback
from nexus_cli.wire.url import parse_broker_url


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to push.

    Attributes:
        rate_per_s: Most requests per second.
        settings: Whether settings that concern every tenant may be changed.
        remove: Whether all that is the site's is removed.
    """

    rate_per_s: float = RATE_PER_S
    settings: bool = False
    remove: bool = False


async def push_site(
    snapshot: Snapshot,
    settings: Settings,
    *,
    consents: Callable[[Push], bool],
    options: Options,
    progress: Progress,
) -> tuple[Push, Done | None]:
    """Compare a site with EMQX, and make EMQX match it.

    Args:
        snapshot: What is declared.
        settings: `.nexus` (with what control stored there), and the broker's MQTT address for the canary.
        consents: Is shown the push; False carries nothing out.
        options: How.
        progress: As of `PushRun`.

    Returns:
        The push, and what was done; None when nothing was.

    Raises:
        NexusError: NX7025 to NX7033, NX7010, NX7011; NX7038, another push runs.
    """
    with _alone(settings.home):
        return await _push(snapshot, settings, consents=consents, options=options, progress=progress)


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Of two pushes at once each would undo what the other knows of the passwords in EMQX."""
    if not home.is_dir():  # nothing is known there, and a dry run makes no folder
        yield
        return
    with ExitStack() as held:
        try:
            held.enter_context(alone(home / ".emqx.lock", wait=False))
        except BlockingIOError:
            raise NexusError(
                "Another push runs from this folder.", code="NX7038", hint="wait until it has ended, then push again"
            ) from None
        yield


async def _push(
    snapshot: Snapshot,
    settings: Settings,
    *,
    consents: Callable[[Push], bool],
    options: Options,
    progress: Progress,
) -> tuple[Push, Done | None]:
    if options.remove:
        wanted = nothing(Accounts(snapshot.enterprise, snapshot.site))
    else:
        stored = read_wanted(settings.home)
        when = Moment(at_us=time.time_ns() // 1000)
        wanted = wanted_of(snapshot, settings, hashes={} if stored is None else stored.people, when=when)
    async with open_emqx(settings, rate_per_s=options.rate_per_s) as emqx:
        memory = PushMemory(settings.home, emqx.url)
        push = await prepare(emqx, wanted, memory, settings=options.settings)
        if not consents(push):
            return push, None
        disconnects = push.present.deny_action == "disconnect"
        subscriber = MqttSubscriber(settings, disconnects=disconnects) if _same_side(settings, emqx.url) else None
        run = PushRun(emqx, push, memory, subscriber=subscriber, progress=progress)
        return push, await run.carry_out()


def _same_side(settings: Settings, url: str) -> bool:
    """False without a broker to try, and for one on this machine while EMQX is elsewhere: `nexus up` runs that one."""
    if not settings.broker_url:
        return False
    broker = parse_broker_url(settings.broker_url)
    return not is_loopback(broker.host) or is_loopback(urlsplit(url).hostname or "")
