"""Which of several processes under one gateway's name does its work: one at a time, found out over the broker.

Each process is an *instance* with a ULID. It subscribes to the health topic of its own name. A message of another
instance that comes live (not retained) is proof that it is alive; a retained one proves nothing, so it is challenged: a
process that is at work answers a `waiting` message at once with its own health.

The one at work stays at work. One that starts and finds another alive waits: it reads nothing, and takes over when the
other one stops, is lost (its last will) or stays silent. The moment of taking over is its *term*. A process that was cut
off and comes back to find a higher term was replaced meanwhile: it waits in turn. With equal terms (two that started
while the broker was away) the older one stays. Pure: it is given the messages, and the time by its clock.
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
"""How long its own message may take to come back, in seconds; it comes behind everything retained."""
SETTLE_S = 0.2
"""How long after its own message one that works may answer it, in seconds, before this process begins."""
CLAIM_S = 3.0
"""How long another one has for its answer, in seconds."""
SILENCE_S = 25.0
"""After this time without a message, two and a half periods of health, the other one is challenged, in seconds."""
KICK_S, PAUSE_S = 5.0, 30.0
"""A connection that ends this soon, twice, while another has the name: the broker lets one of the two in. The one that
waits leaves it alone for the pause, in seconds."""


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
    """What the health of another process says of it."""

    state: str = ""
    instance: str = ""
    host: str = ""
    pid: int = 0
    term: int = 0


class State(StrEnum):
    """Whether this process does the gateway's work."""

    CHECKING = "checking"
    ACTIVE = "active"
    WAITING = "waiting"


_decoder = msgspec.json.Decoder(Other)


class ActiveInstance:
    """Decides whether this process is the one at work.

    Attributes:
        state: See `State`.
        term: When the name was last taken over from another instance, µs since 1970 UTC; 0 when it never was.
        foreign: Another instance was at work since the record of this one ended: it can't account for that time.
        other: The last other instance that was noticed in this state.
        pause_s: How long to stay away from the broker before the next connect, in seconds.
    """

    def __init__(self, me: Identity, *, name: str, own: Collection[str], term: int, clock: Clock) -> None:
        """Start, without knowing of any other.

        Args:
            me: This process.
            name: The gateway's name, for messages.
            own: The instances that used this disk log before: they have ended, or the log would be locked.
            term: Of the last of them.
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
        """True while this process does the work."""
        return self.state is State.ACTIVE

    @property
    def why(self) -> str:
        """Why it does not; "" when it does."""
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
        """The broker is there. Send a sign of life (`running` or `waiting`) now: others answer it."""
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
        """Take a message of the gateway's own health topic; True when a sign of life has to be sent at once."""
        try:
            other = _decoder.decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return False
        if other.instance == self._me.instance:
            # What the broker kept comes before our own message, and who works answers it at once: there is nobody else.
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
        """Call several times a second; True when a sign of life has to be sent at once."""
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
            # It did not answer, so it is gone; its term must not outlive it.
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
            if other.instance < self._me.instance:  # both want to take over: the older one has the first turn
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
            # One that waits asks whether we are here; the last will of one that is gone lies over our own health.
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
        """Want to take over from another one, which may yet answer."""
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


__all__ = ["ActiveInstance", "Identity", "Other", "State"]
