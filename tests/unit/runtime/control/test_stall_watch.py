"""What control watches in itself: deployments, notices, who is there, alerts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import orjson

from nexus_cli.apply.observation import Observations
from nexus_cli.apply.run import notice
from nexus_cli.apply.timing import Timing
from nexus_cli.runtime.control import stall_watch
from nexus_cli.runtime.progress import Progress
from nexus_cli.wire.topic import Topics
from tests.clock import FakeClock

TOPICS = Topics("acme", "chicago")


class Bench:
    """Control's parts as far as they are watched."""

    def __init__(self) -> None:
        self.clock, self.seen = FakeClock(), Observations()
        self.client: Any = SimpleNamespace(connected=True)
        self.deployer: Any = SimpleNamespace(busy=False, running=0, steps=0)
        self.liveness: Any = SimpleNamespace(waiting=0, handled=0)
        self.alerting: Any = SimpleNamespace(waiting=0, published=0)
        self.notices = stall_watch.StallNotices(TOPICS, self.seen)
        self.progress = Progress(clock=self.clock)
        stall_watch.watch(
            self.progress,
            client=self.client,
            deployer=self.deployer,
            liveness=self.liveness,
            alerting=self.alerting,
            notices=self.notices,
            timing=Timing(),
        )

    def pass_time(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.advance(1.0)
            self.progress.look()


def test_at_rest_nothing_is_expected() -> None:
    bench = Bench()
    bench.pass_time(7200)
    assert bench.progress.ready() == (True, "")


def test_a_deployment_that_does_not_go_on() -> None:
    bench = Bench()
    bench.deployer.busy, bench.deployer.running = True, 12
    for _ in range(10):
        bench.pass_time(80)
        bench.deployer.steps += 1
    assert bench.progress.ready()[0]
    bench.pass_time(120)
    assert bench.progress.ready()[1].startswith("deployment 12 does not continue")


def test_a_gateway_that_does_not_take_its_configuration() -> None:
    bench = Bench()
    bench.seen.hear_health("gw-a", b'{"state":"running","time":1}')
    bench.notices.published(TOPICS.config("gw-a"), notice(deployment=7, digest="d"))
    bench.notices.published(TOPICS.tag("a/b/c/d"), b"not json")
    bench.pass_time(70)
    assert bench.progress.ready()[0]
    bench.pass_time(10)
    assert bench.progress.ready()[1].startswith("gateway gw-a does not say that it runs deployment 7")
    bench.seen.receive("gw-a", orjson.dumps({"deployment": 7, "digest": "d"}))
    bench.pass_time(1)
    assert bench.progress.ready() == (True, "")


def test_a_gateway_that_is_away_is_not_waited_for() -> None:
    bench = Bench()
    bench.seen.hear_health("gw-a", b'{"state":"lost"}')
    bench.notices.published(TOPICS.config("gw-a"), notice(deployment=7, digest="d"))
    bench.pass_time(3600)
    assert bench.progress.ready() == (True, "")


def test_presence_and_alerts_that_are_not_settled() -> None:
    bench = Bench()
    bench.liveness.waiting = bench.alerting.waiting = 3
    bench.pass_time(30)
    told = bench.progress.ready()[1]
    assert "it can't be recorded which gateways are away" in told
    assert "no alert is published or stored, 3 wait" in told
    bench.client.connected = False
    bench.pass_time(1)
    assert bench.progress.ready() == (True, ""), "then the broker is what is wrong, and that is told"
