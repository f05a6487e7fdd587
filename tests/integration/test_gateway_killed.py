"""A gateway that is killed (-9) under load, alone and together with the broker: nothing accepted is lost or doubled."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tests.field import FakeHistorian
from tests.servers import TestBroker
from tests.waiting import until

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
                await until(lambda before=before: len(historian.frames) > before + 300)
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
    assert not historian.gaps_with_rows(), "what a gap names is really missing"
    gaps = sorted(historian.gaps.values(), key=lambda gap: gap.start)
    devices = [f"a/l/d{n}" for n in range(20)]
    for path in devices:
        times = sorted(frame.time for key, frame in historian.frames.items() if historian.devices[key] == path)
        own = [gap for gap in gaps if gap.device == path]
        # A pause of the process on a loaded machine has a gap of its own.
        assert [gap.reason for gap in own if gap.reason != "gateway_stalled"] == ["gateway_killed"] * 2
        for gap in own:
            assert gap.start <= gap.end
            following = [time for time in times if time > gap.start]
            assert following[0] == gap.end + 1, "it ends with the first frame of its device"
