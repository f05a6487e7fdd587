"""The gate finds the message that ends the connection, and suspects nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.gateway.outbox.gate import EARLY_S, FENCE, FENCE_S, KEPT_S, QUIET_S, SLOW_S, STRIKES, Gate
from tests.clock import FakeClock


class Client:
    """A client whose broker the test plays."""

    def __init__(self) -> None:
        self.connected = True
        self.open: list[int | asyncio.Future[None]] = []
        self.gate: Gate | None = None

    @property
    def inflight(self) -> int:
        """Messages without acknowledgement."""
        return len(self.open)

    def post(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> asyncio.Future[None]:
        """Send, with a future."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.send(topic, payload, future, qos=qos, retain=retain)
        return future

    def send(
        self, topic: str, payload: bytes, token: int | asyncio.Future[None], *, qos: int, retain: bool = False
    ) -> None:
        """Send, with a token."""
        if not self.connected:
            raise NexusError("gone", code="NX6010")
        self.open.append(token)

    def acknowledge(self, count: int) -> None:
        """The broker has the first ones."""
        assert self.gate is not None
        for token in self.open[:count]:
            if isinstance(token, asyncio.Future):
                token.set_result(None)
            else:
                self.gate.acknowledged([token])
        del self.open[:count]

    def lose(self) -> None:
        """The connection ends."""
        for token in self.open:
            if isinstance(token, asyncio.Future):
                token.set_exception(NexusError("lost", code="NX6010"))
                token.exception()
        self.open.clear()


class Bench:
    """A gate with its client and its clock."""

    def __init__(self) -> None:
        self.client, self.clock = Client(), FakeClock()
        self.gate = self.client.gate = Gate(self.client, clock=self.clock)  # type: ignore[arg-type]

    def lost(self, *keys: int | str, acknowledged: int = 0, after_s: float = 1.0) -> None:
        """A connection on which these were posted and some acknowledged ends."""
        for key in keys:
            self.gate.post(key, str(key), b"x" * 100)
        self.client.acknowledge(acknowledged)
        self.clock.advance(after_s)
        self.client.lose()
        self.gate.reconnected()

    async def alone(self, key: int | str, *, passes: bool) -> bool:
        """Post a suspect alone, on a connection that ends at it or not."""
        self.clock.advance(QUIET_S)
        assert self.gate.suspect(type(key)) == key
        task = asyncio.ensure_future(self.gate.post_alone(key, str(key), b"x" * 100))
        await asyncio.sleep(0)
        if passes:
            self.client.acknowledge(1)
        else:
            self.client.lose()
        found = await task
        if not passes:
            self.gate.reconnected()
        return found


async def test_what_was_unacknowledged_twice_goes_alone_until_it_has_ended_three_connections() -> None:
    bench = Bench()
    bench.lost(1, 2, 3, "live", acknowledged=1)
    assert not bench.gate.careful, "any connection may end"
    bench.lost(2, 3, "live")
    assert bench.gate.careful
    assert bench.gate.suspect(int) is None, "the connection must have been quiet"
    assert await bench.alone(2, passes=True)
    for _ in range(STRIKES):
        assert not bench.gate.refused(3)
        assert not await bench.alone(3, passes=False)
    assert bench.gate.refused(3)
    bench.gate.cleared(3)
    assert bench.gate.suspect(int) is None
    assert await bench.alone("live", passes=True)
    assert not bench.gate.careful
    assert not bench.gate.refused(3), "a strike is forgotten with the search"


async def test_late_losses_and_losses_with_nothing_open_make_nobody_suspect() -> None:
    bench = Bench()
    for _ in range(5):
        bench.lost(1, after_s=EARLY_S + 1)
    for _ in range(5):
        bench.lost(1, acknowledged=1)
    bench.lost(1)
    bench.lost(1, acknowledged=1)
    assert not bench.gate.careful


async def test_a_connection_that_ends_in_the_quiet_time_is_no_strike() -> None:
    bench = Bench()
    bench.lost(1)
    bench.lost(1)
    for _ in range(10):
        bench.client.lose()
        bench.gate.reconnected()
        assert bench.gate.suspect(int) is None
        bench.clock.advance(QUIET_S / 2)
    bench.client.connected = False
    assert not await bench.gate.post_alone(1, "1", b"")
    assert not bench.gate.refused(1)


async def test_records_without_acknowledgement_are_counted_apart_from_live_values() -> None:
    bench = Bench()
    told: list[int] = []
    bench.gate.on_acknowledged(lambda: told.append(bench.gate.records))
    for key in (1, "live", 2, 3):
        bench.gate.post(key, str(key), b"x" * 100)
    assert bench.gate.records == 3
    bench.client.acknowledge(2)
    assert (bench.gate.records, bench.gate.acknowledged_bytes, told) == (2, 104, [2, 2])
    bench.gate.acknowledged([99])
    assert bench.gate.records == 2, "the token of another"
    bench.client.lose()
    bench.gate.reconnected()
    assert bench.gate.records == 0
    bench.client.connected = False
    with pytest.raises(NexusError):
        bench.gate.post(4, "4", b"")
    assert bench.gate.records == 0, "nothing was sent"


async def test_a_limit_is_the_smallest_size_that_failed_and_is_forgotten_in_time() -> None:
    bench = Bench()
    bench.gate.learn(9_000, silent=True)
    bench.gate.learn(20_000, silent=True)
    bench.gate.delivered_bytes, bench.gate.acknowledged_bytes = 4_000, 8_999
    assert (bench.gate.fits(8_999), bench.gate.fits(9_000)) == (True, False)
    assert (bench.gate.arrives(4_000), bench.gate.arrives(4_001)) == (True, False), "acknowledged is not arrived"
    bench.gate.learn(9_000, silent=False)
    assert bench.gate.arrives(8_999)
    bench.clock.advance(KEPT_S)
    assert bench.gate.fits(1 << 30)
    assert bench.gate.arrives(1 << 30)


class View:
    """The live view, as the gate knows it."""

    def __init__(self) -> None:
        self.heard: list[int] = []

    def acknowledged(self, tokens: Sequence[int]) -> None:
        """Keep them."""
        self.heard += tokens

    def topics(self, tokens: Iterable[int]) -> list[str]:
        """A topic for each token."""
        return list(dict.fromkeys(f"t{-token}" for token in tokens))


async def test_live_values_are_acknowledged_and_suspected_like_records(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, view = Bench(), View()
    bench.gate.live_view(view)
    monkeypatch.setattr(bench.client, "send_many", lambda *_, **__: None, raising=False)
    monkeypatch.setattr(bench.client, "fence", lambda _: None, raising=False)
    for _ in range(2):
        bench.gate.post(1, "record", b"")
        bench.gate.post_many([b"", b""], [b"", b""], [-1, -2], qos=1, retain=True)
        bench.gate.post_many([b""], [b""], [-3], qos=0, retain=True)
        bench.gate.acknowledged([bench.gate._token, -1])
        bench.clock.advance(1.0)
        bench.gate.reconnected()
    assert view.heard == [-1, -1] and bench.gate.records == 0
    assert list(bench.gate._suspects) == ["t2", "t3"], "what was not acknowledged, and what no answered fence is behind"
    for topic in ("t2", "t3"):
        bench.gate.cleared(topic)
    for _ in range(3):
        bench.clock.advance(FENCE_S)
        bench.gate.post_many([b""], [b""], [-3], qos=0, retain=True)
        bench.gate.acknowledged([FENCE])
        bench.gate.reconnected()
    assert not bench.gate.careful, "the broker had taken it"


def test_records_are_compressed_while_the_broker_acknowledges_late() -> None:
    client, clock = Client(), FakeClock()
    gate = client.gate = Gate(client, clock=clock)  # type: ignore[arg-type]
    batch = b"\x81" + bytes(20_000)
    plain = len(batch) + 1
    assert gate.post(1, "t", batch) == plain, "never, unless it is asked for"
    gate.compress = "auto"
    for number in range(2, 6):
        assert gate.post(number, "t", batch) == plain, "much waits, and not for long"
    clock.advance(SLOW_S)
    assert gate.slow and gate.post(6, "t", batch) < 1_000
    assert gate.post("live", "t", batch) == plain, "live values stay as they are"
    client.acknowledge(5)
    assert not gate.slow and gate.post(7, "t", batch) == plain
    gate.compress = "always"
    assert gate.post(8, "t", batch) < 1_000
    assert gate.post(9, "t", b'{"epoch": "E1"}') == 16
