"""`nexus plan --probe`: gateways read what a plan adds, once each, below their polls, and touch nothing else."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import orjson
import pytest

from nexus_cli.drivers.ads.simulator import serve as serve_ads
from nexus_cli.drivers.modbus.simulator import serve as serve_modbus
from nexus_cli.drivers.opcua.simulator import serve as serve_opcua
from nexus_cli.drivers.s7.simulator import serve as serve_s7
from nexus_cli.model.config import DeviceConfig, TagConfig, to_json
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.plan.plan import Base, Plan, make_plan
from nexus_cli.plan.probed import ProbeEntry, Tried
from nexus_cli.project.trial import try_addresses
from nexus_cli.runtime.gateway import gateway as gateway_role
from nexus_cli.settings import Settings
from nexus_cli.wire.schemas import message_schemas
from tests.integration.test_discover_via import gateway
from tests.recorded_requests import recorded
from tests.servers import TestBroker, free_port
from tests.waiting import until

pytestmark = [pytest.mark.needs_broker, pytest.mark.own_time]


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody writes the rows down here, so that a gateway that ends need not wait for it."""
    monkeypatch.setattr(gateway_role, "DRAIN_S", 0.1)


def modbus(path: str, port: int, *, unit: int = 1, **tags: TagConfig) -> DeviceConfig:
    return DeviceConfig(
        path=path,
        protocol="modbus",
        link=f"tcp:127.0.0.1:{port}",
        gateway="gw-1",
        connection={"host": "127.0.0.1", "port": port, "unit_id": unit},
        tags=tags,
    )


def word(register: int, **more: Any) -> TagConfig:
    keys: dict[str, Any] = {"type": "int16", "published_type": "int16", "poll_ms": 1000, **more}
    return TagConfig(address=f"holding:{register}", **keys)


def planned(before: Mapping[str, DeviceConfig], after: Mapping[str, DeviceConfig]) -> Plan:
    site = {"site": {"enterprise": "acme", "site": "chicago"}}
    old = Snapshot.of("acme", "chicago", {**site, **{f"device.{path}": to_json(one) for path, one in before.items()}})
    new = Snapshot.of("acme", "chicago", {**site, **{f"device.{path}": to_json(one) for path, one in after.items()}})
    base = Base(deployment=1, digest=old.digest, digests=old.digests, resources=old.resources)
    return make_plan(base, new).unwrap()


async def tried(
    broker: TestBroker, tmp_path: Path, before: Mapping[str, DeviceConfig], after: Mapping[str, DeviceConfig]
) -> Tried:
    settings = Settings(home=tmp_path / "cli", site="", broker_url=broker.url)
    return await try_addresses(planned(before, after), settings)


def by_path(found: Tried) -> dict[str, ProbeEntry]:
    return {each["path"]: each for each in found.entries}


async def test_new_and_changed_addresses_are_read_below_the_polls(broker: TestBroker, tmp_path: Path) -> None:
    port = free_port()
    speed = word(5, simulate={"value": 300})
    simulated = modbus(
        "a/l/one", port, speed=speed, level=word(7, simulate={"value": -4}), limit=word(8, simulate={"value": 900})
    )
    runs = modbus("a/l/one", port, speed=speed)
    wanted = modbus(
        "a/l/one",
        port,
        speed=speed,
        level=word(7),
        limit=word(8, range=(0.0, 100.0)),
        beyond=word(60_000),
    )
    server = await serve_modbus([simulated], port=port)
    try:
        async with gateway(broker, [runs], tmp_path / "gateway") as (running, _):
            (device,) = running.links.devices()
            await tried(
                broker, tmp_path, {}, {"a/l/one": modbus("a/l/one", port, speed=speed)}
            )  # imports are behind us
            missed, cycles = device.counters.missed, device.counters.cycles
            found = await tried(broker, tmp_path, {"a/l/one": runs}, {"a/l/one": wanted})
            assert device.counters.missed == missed, "no poll is missed"
            assert device.counters.cycles >= cycles and device.counters.errors == 0, (
                "a refused trial is no error of the device"
            )
            assert running._browsing.tried == 4, "each address once: one before, three now"
            assert running.links.devices()[0].config.tags.keys() == {"speed"}, "nothing was configured"
    finally:
        await server.close()
    read = by_path(found)
    assert set(read) == {"a/l/one/level", "a/l/one/limit", "a/l/one/beyond"}, "what is unchanged is not read"
    level = read["a/l/one/level"]
    assert (level["value"], level["quality"], level["bytes"]) == (-4, "GOOD", struct.pack(">h", -4).hex(" "))
    assert (read["a/l/one/limit"]["value"], read["a/l/one/limit"]["quality"]) == (900, "UNCERTAIN")
    assert (read["a/l/one/beyond"]["quality"], read["a/l/one/beyond"]["status"]) == ("BAD", 2), "the device's own code"
    codes = {".".join(map(str, each.where)).rpartition(".")[2]: each.code for each in found.findings}
    assert codes == {"limit": "NX4021", "beyond": "NX4020"}
    assert not found.unknown


async def test_a_silent_unit_costs_the_polls_nothing(broker: TestBroker, tmp_path: Path) -> None:
    port = free_port()
    runs = modbus("a/l/one", port, speed=word(5, simulate={"value": 300}, poll_ms=500))
    silent = modbus("a/l/nobody", port, unit=9, **{f"t{place}": word(place) for place in range(5)})
    server = await serve_modbus([runs], port=port)
    try:
        async with gateway(broker, [runs], tmp_path / "gateway") as (running, _):
            (device,) = running.links.devices()
            await tried(broker, tmp_path, {}, {"a/l/one": runs})
            missed, reconnects = device.counters.missed, running.links.supervisors[runs.link].reconnects
            found = await tried(broker, tmp_path, {"a/l/one": runs}, {"a/l/one": runs, "a/l/nobody": silent})
            assert device.counters.missed == missed
            assert running.links.supervisors[runs.link].reconnects == reconnects, "the session stays"
    finally:
        await server.close()
    assert {each["quality"] for each in found.entries} == {"BAD"} and len(found.entries) == 5
    (one,) = found.findings
    assert one.code == "NX4022" and one.where[-1] == "nobody", "one finding for a device, not for each tag"


async def test_a_link_that_does_not_run_is_opened_and_closed(broker: TestBroker, tmp_path: Path) -> None:
    port, other, gone = free_port(), free_port(), free_port()
    runs = modbus("a/l/one", port, speed=word(5, simulate={"value": 300}))
    new = modbus(
        "a/l/two",
        other,
        level=word(1, simulate={"value": 77}),
        twice=word(2, scale=2.0, simulate={"value": 77}, published_type="float64"),
    )
    away = modbus("a/l/away", gone, level=word(1))
    server, second = await serve_modbus([runs], port=port), await serve_modbus([new], port=other)
    try:
        async with gateway(broker, [runs], tmp_path / "gateway") as (running, _):
            found = await tried(
                broker, tmp_path, {"a/l/one": runs}, {"a/l/one": runs, "a/l/two": new, "a/l/away": away}
            )
            assert set(running.links.supervisors) == {runs.link}, "the trial leaves no link"
    finally:
        await server.close()
        await second.close()
    read = by_path(found)
    assert (read["a/l/two/level"]["value"], read["a/l/two/twice"]["value"]) == (77, 154.0)
    assert read["a/l/away/level"]["quality"] == "BAD"
    assert [each.code for each in found.findings] == ["NX4022"]


def of_protocol(protocol: str, port: int) -> tuple[DeviceConfig, Any]:
    """A device with one tag, and what serves it."""
    host: dict[str, Any] = {"host": "127.0.0.1", "port": port}
    connection: dict[str, Any]
    serve: Any
    if protocol == "opcua":
        endpoint = f"opc.tcp://127.0.0.1:{port}"
        address, kind, link = "nsu=http://acme/plc;s=Speed", "float64", endpoint
        connection, serve = {"endpoint": endpoint}, serve_opcua
    elif protocol == "s7":
        address, kind, link = "%DB1:10:INT", "int16", f"s7:127.0.0.1:{port}"
        connection, serve = {**host, "rack": 0, "slot": 1}, serve_s7
    else:
        address, kind, link = "MAIN.speed", "int16", f"ads:127.0.0.1:{port}"
        connection = {"host": "127.0.0.1", "tcp_port": port, "ams_net_id": "127.0.0.1.1.1", "port": 851}
        serve = serve_ads
    tags = {"speed": TagConfig(address=address, type=kind, published_type=kind, poll_ms=1000, simulate={"value": 42})}
    device = DeviceConfig(
        path="a/l/other", protocol=protocol, link=link, gateway="gw-1", connection=connection, tags=tags
    )
    return device, serve


@pytest.mark.parametrize("protocol", ["opcua", "s7", "ads"])
async def test_every_protocol_answers_a_trial_over_an_open_and_over_a_new_link(
    protocol: str, broker: TestBroker, tmp_path: Path
) -> None:
    port = free_port()
    device, serve = of_protocol(protocol, port)
    server = await serve([device], port=port)
    renamed = msgspec.structs.replace(device, path="a/l/renamed")
    anchor = modbus("a/l/one", free_port(), speed=word(5, simulate={"value": 1}))
    modbus_server = await serve_modbus([anchor], port=int(anchor.connection["port"]))
    try:
        async with gateway(broker, [anchor], tmp_path / "apart"):
            with recorded() as asked_apart:
                apart = await tried(broker, tmp_path, {"a/l/one": anchor}, {"a/l/one": anchor, "a/l/other": device})
        async with gateway(broker, [device], tmp_path / "open") as (running, _):
            await until(lambda: all(one.reachable for one in running.links.devices()))
            with recorded() as asked:
                over = await tried(
                    broker, tmp_path, {"a/l/other": device}, {"a/l/other": device, "a/l/renamed": renamed}
                )
    finally:
        await server.close()
        await modbus_server.close()
    for each in (asked_apart, asked):
        assert (each.changing, each.reported) == ([], []), "nothing that changes a device, and no report of a value"
        assert each.asked[protocol]
    for found in (apart, over):
        (entry,) = found.entries
        assert (entry["value"], entry["quality"]) == (42, "GOOD"), entry
        assert entry["bytes"] and not found.findings and not found.unknown


async def test_a_gateway_that_is_not_there_is_an_unknown_and_no_error(
    broker: TestBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nexus_cli.project.trial.SILENCE_S", 0.2)
    found = await tried(broker, tmp_path, {}, {"a/l/one": modbus("a/l/one", free_port(), speed=word(5))})
    assert not found.entries and not found.findings
    (line,) = found.unknown
    assert line.startswith("trial reads of gateway gw-1:") and "does not answer" in line


def test_request_and_answer_are_what_the_schemas_say() -> None:
    device = to_json(modbus("a/l/one", 502, speed=word(5)))
    jsonschema.validate(orjson.loads(orjson.dumps({"id": "x", "trial": device})), message_schemas()["browse"])
    read = {
        "tag": "speed",
        "code": 2,
        "asked": "FC3 5..5",
        "bytes": "",
        "raw": None,
        "value": None,
        "quality": "BAD",
        "reason": "illegal_address",
        "problem": "refused",
        "time": 1_785_000_000_000_000,
    }
    page = {"id": "x", "page": 1, "items": [], "done": False, "trials": [read]}
    jsonschema.validate(page, message_schemas()["browse-page"])
