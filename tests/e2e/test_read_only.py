"""`plan`, `plan --probe`, `drift`, `validate`, `test`, `show` and `diff` write nothing: no row, no message, no register, no file.

The device writes down the function of each request, a subscriber to everything each message, and the rows of every table are
compared before and after; the historian is stopped meanwhile, so that nothing else writes rows.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiomqtt
import pytest

from tests.e2e.plant import Plant
from tests.waiting import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs_broker,
    pytest.mark.needs_database,
    pytest.mark.skipif(sys.platform == "win32", reason="aiomqtt wants a loop with sockets"),
]
READS = {"1", "2", "3", "4", "43"}
"""Modbus functions that change nothing: the four reads, and reading the identification."""
BEATS = frozenset({"leader"})
"""Tables in which a control that leads writes all the time."""
FROM_GATEWAYS = ("acme/counting/", "_nexus/acme/counting/data/", "_nexus/acme/counting/health/", "$SYS/")
"""Topics on which a gateway, or a role's health, publishes by itself."""
ASKED = ("_nexus/acme/counting/browse/", "_nexus/acme/counting/response/gateway/nexus.cli/")
"""How addresses are read through a gateway, and its answers."""


class RecordedPlant(Plant):
    """A plant whose device writes down what it was asked."""

    @property
    def functions(self) -> Path:
        """The function codes, one per line."""
        return self.folder / "functions.txt"

    def start(self) -> None:
        """As the plant, with another device."""
        device = [sys.executable, "-m", "tests.e2e.recording_device", str(self.device_port), str(self.functions)]
        self.spawn("device", device)
        super(Plant, self).start()
        self.write_site()
        self.apply()

    def rows(self) -> dict[str, str]:
        """A digest over the rows of every table."""
        tables = self.query(
            "select schemaname as schema, tablename as name from pg_tables "
            "where schemaname not in ('pg_catalog', 'information_schema')"
        )
        return {
            each["name"]: str(
                self.query(
                    f'select md5(coalesce(string_agg(md5(t::text), $1 order by md5(t::text)), $1)) as found from "{each["schema"]}"."{each["name"]}" t',
                    ",",
                )[0]["found"]
            )
            for each in tables
            if each["name"] not in BEATS
        }

    def files(self) -> dict[str, str]:
        """A digest of each file of the site."""
        found = [self.folder / "site.yaml", *self.folder.glob("tests/**/*.yaml")]
        return {each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in found}


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[RecordedPlant]:
    found = RecordedPlant(tmp_path / "plant", devices=2, poll="200ms")
    try:
        found.start()
        found.wait_rows_beyond({"hall/line-1/unit-1/first": 3})
        found.end("historian", signal.SIGTERM)
        yield found
    finally:
        found.stop()


@contextlib.asynccontextmanager
async def everything(plant: Plant, into: list[str]) -> AsyncIterator[None]:
    """Topics of all that is published meanwhile, without what was retained before."""
    async with aiomqtt.Client("127.0.0.1", plant.broker.port) as client:
        await client.subscribe("#")

        async def hear() -> None:
            async for message in client.messages:
                into.extend([str(message.topic)] * (not message.retain))

        task = asyncio.get_running_loop().create_task(hear(), name="hear")
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, aiomqtt.MqttError):
                await task


@pytest.mark.parametrize(
    ("command", "codes"),
    [
        ("plan site.yaml", {0}),
        ("plan site.yaml --probe", {0}),
        ("drift site.yaml", {2}),
        ("validate site.yaml", {0}),
        ("test site.yaml", {0}),
        ("show", {0}),
        ("diff 1 site.yaml", {0, 2}),
    ],
    ids=lambda given: str(given).replace(" site.yaml", "") if isinstance(given, str) else "",
)
def test_nothing_is_written(plant: RecordedPlant, command: str, codes: set[int]) -> None:
    plant.write_site(3)  # a device more than is recorded, so that there is something to say
    tests = plant.folder / "tests"
    tests.mkdir()
    (tests / "one.yaml").write_text(
        "tests:\n  counts:\n    given: {hall/line-1/unit-1/first: 7}\n"
        "    expect: {sample: {hall/line-1/unit-1/first: {value: 7, quality: GOOD}}}\n"
    )
    before, files = plant.rows(), plant.files()
    asked = len(plant.functions.read_text().splitlines())
    said: list[str] = []

    async def run() -> None:
        async with everything(plant, said):
            done = await asyncio.to_thread(plant.cli, *command.split())
            assert done.returncode in codes, f"{done.stdout}\n{done.stderr}"
            # a command can be faster than a cycle of the gateway, whose doings prove that the record works
            await until(lambda: len(plant.functions.read_text().splitlines()) > asked, "a poll of the gateway")
            await until(lambda: said, "a message of the gateway")

    asyncio.run(run())
    assert plant.rows() == before
    assert plant.files() == files
    functions = plant.functions.read_text().splitlines()
    assert set(functions) <= READS
    by_others = [topic for topic in said if not topic.startswith((*FROM_GATEWAYS, *ASKED))]
    assert by_others == []
