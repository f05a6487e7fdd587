"""A gateway that is killed (-9) under load, alone and together with the broker: nothing accepted is lost or doubled."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from tests.field import FakeHistorian
from tests.integration.test_gateway import until
from tests.servers import TestBroker

pytestmark = pytest.mark.needs_broker

PROCESS = """
import asyncio, sys
from pathlib import Path
from nexus_cli.runtime.gateway.gateway import run_gateway
from nexus_cli.settings import Settings
from tests.field import FakeDriver, FakeSource, device
settings = Settings(home=Path(sys.argv[2]), site="acme/chicago", principal="nexus.gateway.gw-1", broker_url=sys.argv[1])
devices = [device(f"a/l/d{n}", link=f"tcp:d{n}:1", tags=10, poll_ms=50) for n in range(20)]
driver = FakeDriver()
asyncio.run(run_gateway(settings, name="gw-1", source=FakeSource(devices), drivers=lambda _: driver))
"""


def start(broker: TestBroker, home: Path) -> subprocess.Popen[bytes]:
    """A gateway process."""
    return subprocess.Popen([sys.executable, "-c", PROCESS, broker.url, str(home)], stderr=subprocess.DEVNULL)


@pytest.mark.slow
@pytest.mark.parametrize("with_broker", [False, True])
async def test_killed_gateway(broker: TestBroker, tmp_path: Path, with_broker: bool) -> None:
    historian = FakeHistorian(broker.settings(), live=False)
    stop = asyncio.Event()
    processes: list[subprocess.Popen[bytes]] = []
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(historian.run(stop))
            await until(lambda: historian.client.connected)
            for round_ in range(3):
                processes.append(start(broker, tmp_path / "home"))
                before = len(historian.frames)
                await until(lambda before=before: len(historian.frames) > before + 300, deadline_s=20.0)
                if round_ < 2:
                    processes[-1].kill()
                    processes[-1].wait()
                    if with_broker:
                        broker.kill()
                        broker.start()
            processes[-1].terminate()
            await asyncio.to_thread(processes[-1].wait, 15)
            assert processes[-1].returncode == 0
            stop.set()
    finally:
        for process in processes:
            process.kill()
            process.wait()
    epochs = {epoch for epoch, _ in (*historian.frames, *historian.gaps)}
    assert len(epochs) == 3, "each life has an epoch of its own; the numbers go on"
    seqs = sorted(seq for _, seq in (*historian.frames, *historian.gaps))
    assert seqs == list(range(1, len(seqs) + 1)), "every accepted frame and gap arrived"
    assert [gap.reason for _, gap in sorted(historian.gaps.items())] == ["gateway_killed"] * 2
    by_device: dict[str, list[int]] = {}
    for _, frame in sorted(historian.frames.items()):
        by_device.setdefault(",".join(frame.samples), []).append(frame.time)
    times = [frame.time for _, frame in sorted(historian.frames.items())]
    assert all(gap.start < gap.end for gap in historian.gaps.values())
    assert times == sorted(times) or all(b - a > -1_000_000 for a, b in pairwise(times))
    for gap in historian.gaps.values():
        inside = [one for one in times if gap.start < one < gap.end]
        assert not inside, "what the gap names is really missing"
