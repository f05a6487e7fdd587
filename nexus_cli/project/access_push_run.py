"""The steps of a push, one request after the other; what was cut is completed by running it again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from nexus_cli.access.brokers.emqx.database_rule import write_rule
from nexus_cli.access.brokers.emqx.difference import Does, Step
from nexus_cli.access.brokers.emqx.hashing import OURS, UserHash, hash_for, written
from nexus_cli.access.brokers.emqx.present import Setting, enough
from nexus_cli.access.passwords import make_password
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.exit_codes import Exit
from nexus_cli.project.access_canary import CANARY, Subscriber, Trial, trials
from nexus_cli.project.access_push import Push
from nexus_cli.project.access_push_memory import PushMemory
from nexus_cli.wire.emqx import Emqx, NewUser

LOOK_AGAIN_S = 0.2
GONE_WITHIN_S = 30.0
"""How long a kicked session may still be listed; its nodes exchange that within a second."""
Progress = Callable[[int, int, str], None]
Sleep = Callable[[float], Awaitable[None]]


@dataclass(slots=True, kw_only=True)
class Done:
    """What a push did.

    Attributes:
        steps: Requests that changed something, settings and kicks included.
        kicked: Client ids by account.
        gone_s: Seconds from the first rule that took a right away until the last session with it was gone; None when
            no session had one.
        tried: Filters that the canary was refused, by account.
        untried: Why the canary tried nothing; "" when it did, or nothing had to be tried.
    """

    steps: int = 0
    kicked: dict[str, list[str]] = field(default_factory=dict)
    gone_s: float | None = None
    tried: dict[str, str] = field(default_factory=dict)
    untried: str = ""


class PushRun:
    """One push on its way.

    Args:
        emqx: The API.
        push: What to do.
        memory: Where to note which passwords EMQX has.
        subscriber: The canary's client; None tries nothing.
        progress: Gets the number of a step, how many there are, and what it does.
        clock: Seconds.
        sleep: Waits that many seconds.
    """

    def __init__(
        self,
        emqx: Emqx,
        push: Push,
        memory: PushMemory,
        *,
        subscriber: Subscriber | None = None,
        progress: Progress = lambda _number, _of, _text: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._emqx, self._push, self._memory, self._subscriber = emqx, push, memory, subscriber
        self._progress, self._clock, self._sleep = progress, clock, sleep
        self._of = len(push.settings) + len(push.difference.steps)
        self._since_s: float | None = None
        self.done = Done()

    async def carry_out(self) -> Done:
        """Do every step, then have the canary try.

        Raises:
            NexusError: NX7029, cut after some steps; the error itself when nothing was changed; NX7031, a right that was
                removed can still be used, or one that was kept can't.
        """
        number = 0
        try:
            for number, setting in enumerate(self._push.settings, start=1):
                self._progress(number, self._of, f"setting {setting}")
                await self._set(setting)
                self.done.steps += 1
            for number, step in enumerate(self._push.difference.steps, start=len(self._push.settings) + 1):
                self._progress(number, self._of, _in_words(step))
                await self._step(step)
            await self._try()
        except NexusError as error:
            if error.code == "NX7031" or not self.done.steps:
                raise
            raise NexusError(
                f"The push was cut at step {number:,} of {self._of:,}: {error.message}",
                code="NX7029",
                cause=f"{error.code}: {error.cause}".rstrip(": "),
                retriable=error.retriable,
            ) from error
        return self.done

    async def _set(self, setting: Setting) -> None:
        if setting is Setting.AUTHENTICATOR:
            await self._emqx.create_authenticator(written(OURS))
        elif setting is Setting.SOURCE:
            await self._emqx.create_source()
        elif setting is Setting.FRONT:
            await self._emqx.move_source_to_front()
        elif setting is Setting.LARGER:
            await self._emqx.set_max_rules(enough(self._push.most))

    async def _step(self, step: Step) -> None:
        if step.does is Does.KICK:
            await self._kick(step.account)
            return
        if step.does is Does.RULES:
            await self._emqx.put_rules(step.account, [write_rule(rule) for rule in step.rules])
            if step.withdraws and self._since_s is None:
                self._since_s = self._clock()
        elif step.does is Does.USERS:
            await self._emqx.import_users([_user(name, each) for name, each in step.users.items()])
            self._memory.add(step.users)
        elif step.does is Does.DENY:
            await self._emqx.put_settings({**await self._emqx.settings(), "no_match": "deny"})
        elif step.does is Does.CLEAR:
            await self._emqx.clear_cache()
        elif step.does is Does.DROP_USER:
            await self._emqx.delete_user(step.account)
            self._memory.drop(step.account)
        else:
            await self._emqx.delete_rules(step.account)
        self.done.steps += 1

    async def _kick(self, account: str) -> None:
        """End the sessions of an account, and wait until EMQX does not list them any more."""
        before = {(one.clientid, str(one.connected_at)) for one in await self._emqx.sessions(account)}
        ids = sorted({client for client, _ in before})
        for client in ids:
            await self._emqx.kick(client)
            self.done.steps += 1
        if not ids:
            return
        self.done.kicked[account] = ids
        began_s = self._clock()
        while before & {(one.clientid, str(one.connected_at)) for one in await self._emqx.sessions(account)}:
            if self._clock() - began_s > GONE_WITHIN_S:
                raise NexusError(
                    f"EMQX still lists a session of '{account}' {GONE_WITHIN_S:g} s after it was ended.",
                    code="NX7031",
                    exit_code=Exit.PARTLY,
                )
            await self._sleep(LOOK_AGAIN_S)
        self.done.gone_s = self._clock() - (began_s if self._since_s is None else self._since_s)

    # --- the canary -----------------------------------------------------------------------------------------

    async def _try(self) -> None:
        found = trials(self._push.difference.changes)
        algorithm = self._push.algorithm
        if not found:
            return
        if self._subscriber is None or algorithm is None:
            self.done.untried = "NEXUS_BROKER_URL does not name the MQTT listener of this EMQX"
            return
        account, password = self._push.accounts.account(CANARY), make_password()
        user = hash_for(algorithm, password)
        try:
            for trial in found:
                await self._emqx.put_rules(account, [write_rule(rule) for rule in trial.rules])
                await self._emqx.import_users([_user(account, user)])
                await self._tried(self._subscriber, trial, account, password)
        finally:
            await self._emqx.delete_user(account)
            await self._emqx.delete_rules(account)

    async def _tried(self, subscriber: Subscriber, trial: Trial, account: str, password: str) -> None:
        if await _granted(subscriber, account, password, trial.removed):
            raise NexusError(
                f"A client with the rules of '{trial.account}' can still subscribe '{trial.removed}'.",
                code="NX7031",
                hint="another source, a rule for all users or no_match allows it: look at what EMQX asks before and "
                "behind the built-in database",
                exit_code=Exit.PARTLY,
            )
        if trial.kept and not await _granted(subscriber, account, password, trial.kept):
            raise NexusError(
                f"A client with the rules of '{trial.account}' can't subscribe '{trial.kept}', which it may.",
                code="NX7031",
                hint="another source refuses it before the built-in database is asked",
                exit_code=Exit.PARTLY,
            )
        self.done.tried[trial.account] = trial.removed


async def _granted(subscriber: Subscriber, account: str, password: str, filter_: str) -> bool:
    try:
        return await subscriber.granted(account, password, filter_)
    except NexusError as error:
        raise NexusError(
            f"The rules are in force, and the canary could not try them: {error.message}",
            code="NX7031",
            cause=error.cause,
            hint=error.hint,
            exit_code=Exit.PARTLY,
        ) from error


def _user(name: str, each: UserHash) -> NewUser:
    return NewUser(user_id=name, password_hash=each.key, salt=each.salt)


def _in_words(step: Step) -> str:
    words = {
        Does.RULES: f"rules of {step.account}",
        Does.USERS: f"{len(step.users):,} users",
        Does.DENY: "no_match = deny",
        Does.CLEAR: "clear the cache of decisions",
        Does.DROP_USER: f"remove the user {step.account}",
        Does.KICK: f"end the sessions of {step.account}",
        Does.DROP_RULES: f"remove the rules of {step.account}",
    }
    return words[step.does]


def steps_of(steps: Sequence[Step]) -> list[str]:
    """Each step in a few words, in order."""
    return [_in_words(step) for step in steps]
