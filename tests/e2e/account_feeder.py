"""An external device under an account of its own: numbered QoS 1 messages at a steady rate, in a process of its own.

What is not acknowledged when a connection ends is sent again under the next one, as an application with a buffer does. So every number
below the last report is acknowledged, and must be a row.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import ssl
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import NamedTuple

from nexus_cli.wire.mqtt.events import Acknowledged, Closed, Refused
from nexus_cli.wire.mqtt.packets import Options
from nexus_cli.wire.mqtt.session import Session
from tests.benchmarks.field import process

WINDOW = 1_000
TOPICS = 50
TURN_S = 0.005
REFUSED_WAIT_S = 0.05
DRAIN_S = 30.0


class Fed(NamedTuple):
    """What the feeder has done.

    Attributes:
        sent: Numbers 0 to sent - 1 were handed to the broker.
        acknowledged: As many of them are acknowledged.
        took_s: Since the first, in seconds.
        connects: Connections that the broker accepted.
        refused: Those that it refused.
        lost: Those that it closed.
        away_s: Longest time between two accepted connections, in seconds.
    """

    sent: int
    acknowledged: int
    took_s: float
    connects: int
    refused: int
    lost: int
    away_s: float


class _Feed:
    """The device; `run` until its pipe says None."""

    def __init__(self, pipe: Connection, port: int, ca: str, prefix: str, rate: float) -> None:
        self._pipe, self._port, self._prefix, self._rate = pipe, port, prefix, rate
        self._tls = ssl.create_default_context(cafile=ca) if ca else None
        self._account = ("", "")
        self._again: deque[tuple[int, int]] = deque()
        self._open: dict[int, int] = {}
        self._numbers = itertools.count()
        self._sent = self._acknowledged = self._connects = self._refused = self._lost = 0
        self._begun = self._lost_at = time.monotonic()
        self._away_s = 0.0
        self._last_us = 0
        self._ended = False
        self._sock: socket.socket | None = None
        self._session: Session | None = None

    def run(self) -> None:
        self._account = self._pipe.recv()
        self._begun = self._lost_at = time.monotonic()
        while not self._ended or ((self._open or self._again) and time.monotonic() < self._end_by):
            self._commands()
            if self._sock is None and not self._connect():
                time.sleep(REFUSED_WAIT_S)
                continue
            self._turn()
        self._pipe.send(self._report())

    def _commands(self) -> None:
        while not self._ended and self._pipe.poll():
            asked = self._pipe.recv()
            if asked is None:
                self._ended, self._end_by = True, time.monotonic() + DRAIN_S
            elif asked == "report":
                self._pipe.send(self._report())
            else:
                self._account = asked
                self._hang_up()

    def _report(self) -> Fed:
        return Fed(
            self._sent,
            self._acknowledged,
            time.monotonic() - self._begun,
            self._connects,
            self._refused,
            self._lost,
            self._away_s,
        )

    def _connect(self) -> bool:
        user, password = self._account
        try:
            plain = socket.create_connection(("127.0.0.1", self._port), 10)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sock = self._tls.wrap_socket(plain, server_hostname="127.0.0.1") if self._tls else plain
            options = Options(client_id=f"feeder-{time.monotonic_ns()}", user=user, password=password)
            session = self._session = Session(options, now_s=time.monotonic())
            self._sock.sendall(session.take(time.monotonic()))
            while not session.accepted:
                for event in session.receive(self._sock.recv(4096), time.monotonic()):
                    if isinstance(event, Refused | Closed):
                        raise ConnectionRefusedError
            self._sock.settimeout(TURN_S)
        except OSError:
            self._refused += 1
            self._hang_up()
            return False
        self._connects += 1
        if self._connects > 1:
            self._away_s = max(self._away_s, time.monotonic() - self._lost_at)
        return True

    def _hang_up(self) -> None:
        """What is open goes again, in its order."""
        if self._sock is not None:
            self._sock.close()
            self._lost_at = time.monotonic() if self._session and self._session.accepted else self._lost_at
        self._sock = self._session = None
        self._again.extendleft(reversed(self._open.items()))
        self._open = {}

    def _turn(self) -> None:
        session, sock = self._session, self._sock
        assert session is not None and sock is not None
        due = int((time.monotonic() - self._begun) * self._rate)
        while len(self._open) < WINDOW and (self._again or (not self._ended and self._sent < due)):
            number, time_us = self._again.popleft() if self._again else self._next()
            self._open[number] = time_us
            payload = b'{"value":%d,"timestamp":%d}' % (number, time_us)
            session.publish(f"{self._prefix}/t{number % TOPICS:02}", payload, token=number)
        try:
            if session.unsent:
                sock.settimeout(10)
                sock.sendall(session.take(time.monotonic()))
                sock.settimeout(TURN_S)
            with contextlib.suppress(TimeoutError):
                if not (data := sock.recv(65_536)):
                    raise ConnectionResetError
                for event in session.receive(data, time.monotonic()):
                    if isinstance(event, Acknowledged):
                        self._take(event.tokens)
        except OSError:
            self._lost += 1
            self._hang_up()

    def _next(self) -> tuple[int, int]:
        self._last_us = max(self._last_us + 1, time.time_ns() // 1000)
        self._sent += 1
        return next(self._numbers), self._last_us

    def _take(self, numbers: list[int]) -> None:
        for number in numbers:
            if self._open.pop(number, None) is not None:
                self._acknowledged += 1


def serve(pipe: Connection, port: int, ca: str, prefix: str, rate: float) -> None:
    """Feed; a process of its own."""
    _Feed(pipe, port, ca, prefix, rate).run()


class Feeder:
    """The process from outside."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.ended: Fed | None = None

    def use(self, account: str, password: str) -> None:
        """Go on under this account."""
        self._pipe.send((account, password))

    def report(self) -> Fed:
        """What it has done so far."""
        self._pipe.send("report")
        return self._answer()

    def end(self) -> Fed:
        """Stop when everything is acknowledged."""
        self._pipe.send(None)
        self.ended = self._answer()
        return self.ended

    def _answer(self) -> Fed:
        assert self._pipe.poll(120), "the feeder does not answer"
        found: Fed = self._pipe.recv()
        return found


@contextmanager
def feeding(port: int, prefix: str, *, rate: float, ca: str = "") -> Iterator[Feeder]:
    """A feeder below a topic; it begins with its first account."""
    with process(serve, port, ca, prefix, rate) as pipe:
        yield Feeder(pipe)
