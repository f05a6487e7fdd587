"""The active one of several processes under one gateway's name, decided over the broker.

Each process is an *instance* with a ULID. It subscribes to the health topic of its own name. A live message (not
retained) of another instance proves that this one runs; a retained one proves nothing, so it is challenged: an active
process answers a `waiting` message at once with its own health.

The active one stays active. One that starts and finds another running waits: it reads nothing, and takes over when the
other one stops, is lost (its last will) or is silent. The moment of taking over is its *term*. A process that was cut
off and returns to find a higher term was replaced meanwhile: it waits. With equal terms (two that started while the
broker was unreachable) the older one stays active. Pure: it takes messages as input, and the time from its clock.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

import msgspec
from ulid import ULID

from nexus_cli.runtime.clock import Clock

START_S = 2.0
"""How long a process that can't reach the broker waits before it begins to read, in seconds."""
ECHO_S = 3.0
"""How long its own message may take to come back, in seconds; the broker sends it after everything retained."""
SETTLE_S = 0.2
"""How long after its own message an active instance may answer, in seconds, before this process becomes active."""
CLAIM_S = 3.0
"""How long a challenged instance has to answer, in seconds."""
SILENCE_S = 25.0
"""After this time without a message (2.5 health periods) the other instance is challenged, in seconds."""
KICK_S, PAUSE_S = 5.0, 30.0
"""Two connections that end this soon, while another instance has the name, mean that the broker admits only one of the
two: the waiting instance then pauses before it connects again. Both in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One process.

    Attributes:
        instance: A ULID; a later process has a higher one.
        host: Name of its machine.
        pid: Its process id.
    """

    instance: str
    host: str
    pid: int

    @classmethod
    def new(cls) -> Identity:
        """This process."""
        return cls(instance=str(ULID()), host=socket.gethostname(), pid=os.getpid())


class Other(msgspec.Struct, frozen=True):
    """Another instance, as its health describes it."""

    state: str = ""
    instance: str = ""
    host: str = ""
    pid: int = 0
    term: int = 0


class State(StrEnum):
    """Whether this process is the active one."""

    CHECKING = "checking"
    ACTIVE = "active"
    WAITING = "waiting"


_decoder = msgspec.json.Decoder(Other)


class InstanceElection:
    """Decides whether this process is the active instance.

    Attributes:
        state: See `State`.
        term: When the name was last taken over from another instance, µs since 1970 UTC; 0 when it never was.
        foreign: Another instance was active since the record of this one ended, which therefore can't account for that
            time.
        other: The last other instance seen in this state.
        pause_s: How long to wait before the next connect, in seconds.
    """

    def __init__(self, me: Identity, *, name: str, own: Collection[str], term: int, clock: Clock) -> None:
        """Start without a known other instance.

        Args:
            me: This process.
            name: The gateway's name, for messages.
            own: The instances that used this disk log before: they have ended, since the log would be locked.
            term: The term of the last of them.
            clock: Time.
        """
        self.state = State.CHECKING
        self.term = term
        self.foreign = False
        self.other: Other | None = None
        self.pause_s = 0.0
        self._me, self._name, self._own, self._clock = me, name, frozenset(own) | {""}, clock
        now_s = clock.monotonic_s()
        self._until_s, self._heard_s, self._connected_s = now_s + START_S, now_s, now_s
        self._online = False
        self._rival: Other | None = None
        self._kicks = 0

    @property
    def active(self) -> bool:
        """True while this process is active."""
        return self.state is State.ACTIVE

    @property
    def why(self) -> str:
        """Why it is not active; "" when it is."""
        if self.active:
            return ""
        other = self.other or self._rival
        if other is None:
            return "looking whether another instance of this gateway runs"
        name = other.instance or "of an older version"
        where = f" at {other.host} (pid {other.pid})" if other.host else ""
        verb = "runs" if self.state is State.WAITING else "may run"
        return f"another instance {name} of gateway {self._name} {verb}{where}; this one waits and reads nothing"

    def connected(self) -> None:
        """Call after each connect. The health (`running` or `waiting`) has to be sent now: other instances answer
        it."""
        self._online = True
        self._connected_s = self._clock.monotonic_s()
        self.pause_s = 0.0
        if self.state is State.CHECKING:
            self._until_s = self._connected_s + (ECHO_S if self._rival is None else CLAIM_S)

    def lost(self) -> None:
        """The connection ended."""
        self._online = False
        if self.state is not State.CHECKING or self._rival is None:
            return
        short = self._clock.monotonic_s() - self._connected_s < KICK_S
        self._kicks = self._kicks + 1 if short else 0
        if self._kicks >= 2:
            self._kicks, self.pause_s = 0, PAUSE_S

    def message(self, payload: bytes, *, retained: bool) -> bool:
        """Take a message of the gateway's own health topic; True when health has to be sent at once."""
        try:
            other = _decoder.decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return False
        if other.instance == self._me.instance:
            # Retained messages come before our own, and an active instance answers at once: so there is none.
            if self.state is State.CHECKING and self._rival is None and not retained:
                self._until_s = min(self._until_s, self._clock.monotonic_s() + SETTLE_S)
            return False
        if self.state is State.ACTIVE:
            return self._at_work(other, retained=retained)
        if self.state is State.WAITING:
            return self._waiting(other, retained=retained)
        self._checking(other, retained=retained)
        return False

    def tick(self) -> bool:
        """Call several times a second; True when health has to be sent at once."""
        now_s = self._clock.monotonic_s()
        if self.state is State.WAITING:
            if not self._online or now_s - self._heard_s <= SILENCE_S:
                return False
            self._claim(self.other)
            return True
        if now_s < self._until_s or (self._rival is not None and not self._online):
            return False
        if self.state is State.ACTIVE:
            if self._rival is None:
                return False
            # It did not answer, so it has ended; ours must be above its term, should it return.
            self.term, self._rival = self._higher(self._rival), None
            return True
        if self._rival is not None:
            self.term, self.foreign = self._higher(self._rival), True
        self._begin()
        return True

    def _checking(self, other: Other, *, retained: bool) -> None:
        if other.state == "running" and not retained:
            self._yield(other)
        elif other.instance in self._own:
            self.term = max(self.term, other.term)
        elif other.state == "waiting":
            if other.instance < self._me.instance:  # both want to take over: the older one goes first
                self._until_s = max(self._until_s, self._clock.monotonic_s() + 2 * CLAIM_S)
        else:
            self._claim(other)

    def _waiting(self, other: Other, *, retained: bool) -> bool:
        if retained or self.other is None:
            return False
        if other.state == "running":
            self.other, self._heard_s = other, self._clock.monotonic_s()
        elif other.state in ("lost", "stopping") and other.instance == self.other.instance:
            self._claim(self.other)
            return True
        return False

    def _at_work(self, other: Other, *, retained: bool) -> bool:
        if other.state != "running":
            # A waiting instance challenges us, or the last will of an ended one has replaced our health.
            if other.state == "waiting":
                self.other = other
            return True
        if retained:
            if other.instance not in self._own and other.term >= self.term:
                self._rival, self._until_s = other, self._clock.monotonic_s() + CLAIM_S
            return True
        if (-other.term, other.instance) < (-self.term, self._me.instance):
            self._yield(other)
            return False
        self.other = other
        return True

    def _claim(self, rival: Other | None) -> None:
        """Announce the take-over from another instance, which may still answer."""
        self.state, self._rival = State.CHECKING, rival
        self._until_s = self._clock.monotonic_s() + CLAIM_S

    def _yield(self, other: Other) -> None:
        self.state, self.other, self._rival = State.WAITING, other, None
        self._heard_s = self._clock.monotonic_s()
        self.term = max(self.term, other.term)

    def _begin(self) -> None:
        self.state, self.other, self._rival = State.ACTIVE, None, None

    def _higher(self, rival: Other) -> int:
        return max(self._clock.now_us(), self.term + 1, rival.term + 1)


__all__ = ["Identity", "InstanceElection", "Other", "State"]
