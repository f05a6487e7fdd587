"""One changed device of a thousand: from the plan sent to the gateway's `observed`, and what the others notice.

1,000 devices (40 hosts × 25 units, 20 tags each) are polled every second; one tag of one device changes. Nobody
else's cycle may be missed for it, and no other link may reconnect.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import orjson

from nexus_cli.project.plan import plan_site
from nexus_cli.settings import Settings, load_settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.control import DeploymentRequest, PlanSummary
from nexus_cli.wire.http import ControlClient
from nexus_cli.wire.topic import Topics
from tests.benchmarks.figures import Figure, machine
from tests.benchmarks.processes import change, gateway_counters
from tests.e2e.runtime import Runtime
from tests.servers import free_port

HOSTS, UNITS, TAGS = 40, 25, 20
RUNS = 7
TOPICS = Topics("acme", "thousand")
CHANGED = HOSTS * UNITS // 2


def write_site(folder: Path, *, port: int, deadband: float, tags: int = TAGS) -> None:
    """One device of the thousand has a deadband of its own."""
    parts = [
        "nexus: 1\nenterprise: acme\nsite: thousand\ndefaults: {poll: 1s, retention: process}\n"
        "retention: {process: {keep: 30d}}\nareas:\n  hall:\n    lines:\n"
    ]
    for host in range(1, HOSTS + 1):
        parts.append(f"      line-{host}:\n        devices:\n")
        for unit in range(1, UNITS + 1):
            number = (host - 1) * UNITS + unit
            parts.append(
                f"          d{number}:\n            protocol: modbus\n"
                f"            connection: {{host: 127.0.0.{host}, port: {port}, unit_id: {unit}}}\n            tags:\n"
            )
            for tag in range(tags):
                more = f", deadband: {deadband}" if number == CHANGED and tag == 7 else ""
                parts.append(f'              v{tag:02}: {{address: "holding:{tag * 2}", type: uint32{more}}}\n')
    (folder / "site.yaml").write_text("".join(parts))


class Thousand(Runtime):
    """The runtime with a field that costs little."""

    def __init__(self, folder: Path, *, port: int) -> None:
        super().__init__(folder, site="acme/thousand")
        self.device_port = port

    def start(self) -> None:
        """Field first."""
        self.spawn("field", [sys.executable, "-m", "tests.e2e.counting_device", str(self.device_port), str(HOSTS)])
        super().start()

    def settings(self) -> Settings:
        """Of the command line."""
        environment: Mapping[str, str] = self.environment("cli")
        return load_settings(environ=environment)


def deployment(folder: Path, settings: Settings) -> DeploymentRequest:
    """The body that `nexus apply` would send."""
    planned = plan_site(str(folder / "site.yaml"), settings=settings)
    ready = planned.unwrap()
    document = ready.document
    return DeploymentRequest(
        base_digest=document["base"]["digest"],
        desired_digest=document["desired"]["digest"],
        changed=ready.changed,
        plan=PlanSummary(moved=[(old, new) for old, new in document["moved"]], summary=document["summary"]),
        reason="benchmark",
    )


async def send(settings: Settings, body: DeploymentRequest) -> tuple[float, float, int]:
    """Seconds from POST to the `observed` that names the deployment, to control's acceptance, and its number."""
    client = BrokerClient(settings=settings, client_id="bench-observed")
    async with client.session() as messages, ControlClient(settings, site=settings.site) as control:
        await client.subscribe([(TOPICS.observed("gateway"), 1)])
        await control.state()  # the connection stands, as it does behind `nexus apply`, which has just planned
        began = time.monotonic()
        number = await control.deploy(body)
        accepted = time.monotonic() - began
        async with asyncio.timeout(20):
            async for message in messages:
                if orjson.loads(message.payload)["deployment"] >= number:
                    return time.monotonic() - began, accepted, number
    raise RuntimeError("no answer")


def ended(runtime: Thousand, number: int) -> None:
    """Wait until control has closed a deployment (and with it the lock)."""

    async def ask() -> None:
        async with ControlClient(runtime.settings(), site=runtime.site) as control:
            while (await control.deployment(number, after=1 << 40, wait_s=1.0)).state != "ended":
                await asyncio.sleep(0.1)

    asyncio.run(ask())


def measure(runtime: Thousand, folder: Path) -> list[Figure]:
    """Change the device again and again."""
    settings = runtime.settings()
    time.sleep(5.0)
    idle_before = gateway_counters(runtime)
    time.sleep(5.0)
    before = gateway_counters(runtime)
    idle = change(idle_before, before)
    taken, accepted = [], []
    for number in range(RUNS):
        write_site(folder, port=runtime.device_port, deadband=1.0 + number)
        body = deployment(folder, settings)
        observed_s, accepted_s, deployed = asyncio.run(send(settings, body))
        taken.append(observed_s)
        accepted.append(accepted_s)
        ended(runtime, deployed)
    time.sleep(2.0)
    rose = change(before, gateway_counters(runtime))
    name = f"one changed device of {HOSTS * UNITS:,} observed"
    others = ("missed_cycles", "skipped_cycles", "errors", "reconnects")
    return [
        Figure(
            name=f"{name}, median of {RUNS}",
            value=statistics.median(taken),
            unit="s",
            at_most=1.0,
            note=f"worst {max(taken):.3f} s; accepted by control after {statistics.median(accepted):.3f} s",
        ),
        *(
            Figure(
                name=f"  {each.replace('_', ' ')} of all devices meanwhile",
                value=rose[f"nexus_link_{each}_total"],
                unit="cycles" if "cycles" in each else "times",
                at_most=0.0,
                note=f"of {rose['nexus_link_cycles_total']:,.0f} cycles; "
                f"{idle[f'nexus_link_{each}_total']:.0f} in 5 s without a deployment",
            )
            for each in others
        ),
    ]


def run() -> list[Figure]:
    """Record the thousand, then change one."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runtime = Thousand(folder, port=free_port())
        write_site(folder, port=runtime.device_port, deadband=0.5)
        try:
            runtime.start()
            runtime.apply()
            return measure(runtime, folder)
        finally:
            runtime.stop()


if __name__ == "__main__":
    print(machine())
    for figure in run():
        print(figure.line())
