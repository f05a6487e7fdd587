"""Fixtures of every test: servers come from one layer each. At the end it says loudly what could not run, and why."""

from __future__ import annotations

import asyncio
import atexit
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import hypothesis
import psutil
import pytest

from tests import servers
from tests.examples import examples
from tests.order import LONG, ordered
from tests.own_time import OwnTimeLoop, own_time, set_aside
from tests.simulated_time import SimulatedLoop

# A test run knows of no runtime but those that it starts.
os.environ["NEXUS_LOCKS"] = tempfile.mkdtemp(prefix="nexus-test-locks-")
atexit.register(shutil.rmtree, os.environ["NEXUS_LOCKS"], ignore_errors=True)
# Nor of what a command found out before.
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="nexus-test-cache-")
atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)

pytest_plugins = ["tests.containers", "tests.emqx_world", "tests.postgres", "tests.stuck"]

# How fast a shared machine makes examples says nothing about the law under test. With CI set, the examples are the same
# in every run, so that a red build is red for what was changed; elsewhere each run looks somewhere new.
hypothesis.settings.register_profile(
    "nexus",
    deadline=None,
    max_examples=examples(100),
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("nexus")


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests marked `own_time` run on a loop that a busy machine takes nothing from, `simulated_time` on one that never waits."""
    if item.get_closest_marker("simulated_time"):
        return {"loop": SimulatedLoop}
    return {"loop": OwnTimeLoop if item.get_closest_marker("own_time") else asyncio.new_event_loop}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where a worker takes a whole file at a time, files stand in the order of `tests/order.py`."""
    here = Path(__file__).parent
    if missing := [name for name in LONG if not (here / name).is_file()]:
        raise pytest.UsageError(f"tests/order.py names files that are not there: {missing}")
    if config.getoption("loadscopereorder", default=True) is False:
        names = {item.path: item.path.relative_to(here).as_posix() for item in items}
        count = Counter(names[item.path] for item in items)
        slow = Counter(names[item.path] for item in items if item.get_closest_marker("slow"))
        place = {file: at for at, file in enumerate(ordered((file, count[file], slow[file]) for file in count))}
        items.sort(key=lambda item: place[names[item.path]])


def pytest_collection_finish() -> None:
    """Once all tests are there, before the first one."""
    set_aside()


@pytest.fixture(autouse=True)
def _own_time(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.node.get_closest_marker("own_time") is None:
        yield
        return
    with own_time():
        yield


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Gives TCP ports that nobody listens on; each call another one."""
    given: set[int] = set()

    def take() -> int:
        port = servers.free_port()
        while port in given:
            port = servers.free_port()
        given.add(port)
        return port

    return take


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[servers.TestBroker]:
    """A broker of the test's own, which it may kill."""
    folder = tmp_path / "broker"
    folder.mkdir()
    one = servers.new_broker(folder).start()
    yield one
    one.kill()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Nothing is skipped in silence, and nothing that a test started goes on living."""
    skipped: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        skipped[reason.removeprefix("Skipped: ")] += 1
    if skipped:
        terminalreporter.section("COULD NOT RUN", sep="!", red=True, bold=True)
        for reason, count in skipped.most_common():
            terminalreporter.line(f"{count:4} test(s): {reason}", red=True)
        if not servers.mosquitto_program():
            terminalreporter.line("mosquitto is missing: apt-get install mosquitto runs its tests", red=True)
        terminalreporter.line(
            f"{sum(skipped.values())} of {_told(terminalreporter)} tests did not run; what they prove is not proven here",
            red=True,
            bold=True,
        )
    left = [child for child in _left_alive() if not os.environ.get("PYTEST_XDIST_WORKER")]
    if left:
        terminalreporter.section("LEFT ALIVE", sep="!", red=True, bold=True)
        for child in left:
            terminalreporter.line(child, red=True)


def _told(reporter: pytest.TerminalReporter) -> int:
    """How many tests have an outcome (with several workers the collected number is not known here)."""
    outcomes = ("passed", "failed", "error", "skipped", "xfailed", "xpassed")
    return sum(len(reporter.stats.get(outcome, [])) for outcome in outcomes)


def _left_alive() -> list[str]:
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            command = " ".join(child.cmdline())[:160]
            # The fork server and its like end with us; what was forked from it looks the same and must have ended.
            helper = "execnet" in command or ("multiprocessing" in command and child.ppid() == os.getpid())
            if child.status() != psutil.STATUS_ZOMBIE and not helper:
                found.append(f"process {child.pid}: {command}")
        except psutil.Error:
            continue
    return found
