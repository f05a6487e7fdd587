"""What real S7 links do to a driver: CPUs that restart, hang, grant less than planned, refuse a block, or lie."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from nexus_cli.drivers.base import BrowseOptions, DriverError, Fault, Request, Scope, points_of
from nexus_cli.drivers.s7 import browse
from nexus_cli.drivers.s7.driver import DRIVER
from nexus_cli.drivers.s7.session import S7Session
from nexus_cli.drivers.s7.simulator import SimulatorServer, serve
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.wire.sample import Reason
from tests.own_time import now_s
from tests.reads import fails, read_all

pytestmark = pytest.mark.own_time

TIMEOUT_MS = 150


def constant(type_: str, address: str, value: Any) -> TagConfig:
    return TagConfig(type=type_, address=address, simulate={"signal": "constant", "value": value}, writable=True)


def device(port: int, tags: dict[str, TagConfig] | None = None, path: str = "a/l/plc", **more: Any) -> DeviceConfig:
    connection = {"host": "127.0.0.1", "port": port, "timeout": TIMEOUT_MS, "connect_timeout": 500, **more}
    own = {
        "a": constant("int16", "%DB1:0:INT", 100),
        "b": constant("bool", "%DB1:2.5:BOOL", True),
        "c": constant("bool", "%DB1:2.6:BOOL", False),
        "d": constant("string[10]", "%DB1:4:STRING(10)", "mixer"),
        "e": constant("float32", "%DB2:0:REAL", 1.5),
        "f": constant("float32", "%DB2:4:REAL", 2.5),
    }
    return DeviceConfig(path=path, protocol="s7", connection=connection, tags=own if tags is None else tags)


@asynccontextmanager
async def linked(
    one: DeviceConfig | None = None, *, pdu: int | None = None
) -> AsyncIterator[tuple[SimulatorServer, DeviceConfig, S7Session]]:
    made = one or device(0)
    server = await serve([made], pdu=pdu)
    made.connection["port"] = server.port
    session = await DRIVER.connect([made], home=".")
    try:
        yield server, made, session
    finally:
        await session.close()
        await server.close()


async def values(session: S7Session, one: DeviceConfig, *, pdu: int | None = None) -> dict[str, Any]:
    found, faults = await read_all(session, DRIVER.group(one, points_of(one)))
    assert not faults
    return found


def planned(one: DeviceConfig) -> Request:
    (request,) = DRIVER.group(one, points_of(one))
    return request


@asynccontextmanager
async def between(port: int, change: Callable[[bytes], bytes | None]) -> AsyncIterator[int]:
    """A wire that changes what the server says, after the handshake; None swallows it."""

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)

        async def up() -> None:
            while data := await reader.read(4096):
                back.write(data)
            back.close()

        async def down() -> None:
            count = 0
            while data := await there.read(4096):
                count += 1
                changed = data if count <= 2 else change(data)
                if changed is not None:
                    writer.write(changed)
            writer.close()

        with contextlib.suppress(OSError):
            await asyncio.gather(up(), down())

    server = await asyncio.start_server(client, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def test_a_cpu_that_grants_less_than_planned_is_read_in_more_requests() -> None:
    tags = {f"r{at}": constant("float32", f"%DB1:{at * 4}:REAL", float(at)) for at in range(200)}
    tags |= {f"s{at}": constant("int16", f"%DB2:{at * 100}:INT", at) for at in range(20)}
    async with linked(device(0, tags, pdu=960), pdu=240) as (server, one, session):
        assert session.pdu == 240
        requests = DRIVER.group(one, points_of(one))
        assert len(requests) == 2
        before = server.requests
        found = await values(session, one)
        assert found == {**{f"r{at}": float(at) for at in range(200)}, **{f"s{at}": at for at in range(20)}}
        assert server.requests - before > len(requests)


async def test_a_stopped_cpu_makes_its_values_uncertain() -> None:
    async with linked() as (server, one, session):
        assert (await values(session, one))["a"] == 100
        told = Fault(Reason.SOURCE_UNCERTAIN, 4, uncertain=True)
        server.cpu.state = 4
        server.forbid(one.path, "f")
        session.watch.due_s = 0.0
        faults: dict[str, Fault] = {}
        for request in DRIVER.group(one, points_of(one), fill_gaps=False):
            result = await session.read(request)
            faults |= {request.points[at].name: fault for at, fault in result.faults.items()}
            assert (await session.read(request)).values == result.values
        assert faults.pop("f").reason is Reason.ILLEGAL_ADDRESS
        assert faults == dict.fromkeys(("a", "b", "c", "d", "e"), told)
        second = await DRIVER.connect([one], home=".")
        assert second.watch.fault == told
        await second.close()
        server.cpu.state = 8
        session.watch.due_s = 0.0
        (running,) = DRIVER.group(one, points_of(one)[:1])
        assert not (await session.read(running)).faults


async def test_a_device_without_a_state_is_read_as_ever(caplog: pytest.LogCaptureFixture) -> None:
    one = device(0)
    server = await serve([one])
    one.connection["port"] = server.port
    try:
        server.cpu.state = 0
        session = await DRIVER.connect([one], home=".")
        assert await values(session, one) and session.watch.due_s == float("inf")
        await session.check()
        await session.close()
        server.cpu.silent = True
        for requests in (3, 1):  # two set-ups and the question; who kept silent once is not asked with the next link
            before = server.requests
            session = await DRIVER.connect([one], home=".")
            assert server.requests - before == requests
            assert (await values(session, one))["a"] == 100
            await session.check()
            await session.close()
    finally:
        await server.close()


async def test_a_cpu_that_grants_more_than_planned_reads_long_values_at_once() -> None:
    tags = {"long": constant("string[254]", "%DB1:0:STRING(254)", "abc" * 80)}
    for pdu, count in ((240, 2), (960, 1)):
        async with linked(device(0, tags), pdu=pdu) as (server, one, session):
            before = server.requests
            assert await values(session, one) == {"long": "abc" * 80}
            assert server.requests - before == count


async def test_a_missing_block_costs_its_own_tags_and_one_question() -> None:
    async with linked() as (server, one, session):
        space = server.cpu.image.spaces.pop(("DB", 2))
        request = planned(one)
        for round_ in range(3):
            before = server.requests
            result = await session.read(request)
            found = {point.name: value for point, value in zip(request.points, result.values, strict=True)}
            assert found == {"a": 100, "b": True, "c": False, "d": "mixer", "e": None, "f": None}
            assert {(fault.reason, fault.code) for fault in result.faults.values()} == {(Reason.ILLEGAL_ADDRESS, 10)}
            assert server.requests - before == (2 if round_ == 0 else 1)
        server.cpu.image.spaces["DB", 2] = space
        assert (await values(session, one))["e"] == 1.5


async def test_a_hole_is_found_tag_by_tag_and_costs_its_tag_alone() -> None:
    async with linked() as (server, one, session):
        server.forbid(one.path, "f")
        error = await fails(session, planned(one))
        assert (error.scope, error.retriable, error.reason) == (Scope.REQUEST, False, Reason.ILLEGAL_ADDRESS)
        (request,) = DRIVER.group(one, points_of(one), fill_gaps=False)
        result = await session.read(request)
        bad = [request.points[place].name for place in result.faults]
        assert bad == ["f"]
        assert result.values[[point.name for point in request.points].index("e")] == 1.5


async def test_optimised_blocks_are_shown_the_way_to_opc_ua(caplog: pytest.LogCaptureFixture) -> None:
    async with linked() as (server, one, session):
        server.optimise(one.path)
        error = await fails(session, planned(one))
        assert "optimised" in error.message
        assert "OPC UA" in error.message
        (request,) = DRIVER.group(one, points_of(one), fill_gaps=False)
        with caplog.at_level(logging.INFO, logger="nexus.link"):
            for _ in range(3):
                result = await session.read(request)
                assert len(result.faults) == len(one.tags)
            told = [record for record in caplog.records if record.getMessage() == "address refused"]
            assert len(told) == 5, "said once per address, not per tag or poll: two bits share a byte"
            assert all("OPC UA" in record.__dict__["fields"]["detail"] for record in told)
            server.fail(one.path, code=0)
            assert not (await session.read(request)).faults
            answered = [record for record in caplog.records if record.getMessage() == "address answers"]
            assert len(answered) == 5


async def test_protected_blocks_are_access_denied() -> None:
    async with linked() as (server, one, session):
        server.protect(one.path)
        result = await session.read(planned(one))
        assert {fault.reason for fault in result.faults.values()} == {Reason.ACCESS_DENIED}
        with pytest.raises(DriverError) as caught:
            await session.write(one.path, points_of(one)[0], 1)
        assert (caught.value.scope, caught.value.reason) == (Scope.ITEM, Reason.ACCESS_DENIED)


async def test_put_get_that_is_not_allowed_is_said_and_keeps_the_session() -> None:
    async with linked() as (server, one, session):
        server.cpu.put_get = False
        error = await fails(session, planned(one))
        assert (error.scope, error.reason, error.code) == (Scope.DEVICE, Reason.ACCESS_DENIED, 0x8104)
        assert "PUT/GET" in error.message
        server.cpu.put_get = True
        assert (await values(session, one))["a"] == 100


async def test_a_bit_is_written_beside_its_neighbours() -> None:
    async with linked() as (server, one, session):
        points = {point.name: point for point in points_of(one)}
        before = server.requests
        await session.write(one.path, points["c"], True)
        assert server.requests - before == 1, "a bit is written as a bit, not read and written back"
        assert {name: server.values(one.path)[name] for name in "bc"} == {"b": True, "c": True}


async def test_a_text_never_runs_into_its_neighbour() -> None:
    tags = {
        "real": constant("string[8]", "%DB1:0:STRING(8)", "eight"),
        "next": constant("int16", "%DB1:10:INT", 77),
        "said": TagConfig(type="string[30]", address="%DB1:0:STRING(30)", simulate={"signal": "constant", "value": ""}),
    }
    served = {name: tags[name] for name in ("real", "next")} | {"end": constant("uint8", "%DB1:60:BYTE", 0)}
    async with linked(device(0, served)) as (server, one, session):
        wide = DeviceConfig(path=one.path, protocol="s7", connection=one.connection, tags=tags)
        points = {point.name: point for point in points_of(wide)}
        with pytest.raises(DriverError) as caught:
            await session.write(one.path, points["said"], "longer than eight")
        assert (caught.value.scope, caught.value.reason) == (Scope.ITEM, Reason.OVERFLOW)
        assert server.values(one.path)["next"] == 77
        await session.write(one.path, points["said"], "fits")
        assert server.values(one.path)["real"] == "fits"
        assert bytes(server.cpu.image.spaces["DB", 1].memory[:2]) == b"\x08\x04"


async def test_rack_slot_and_connection_type_make_the_tsap() -> None:
    server = await serve([device(0, slot=2)])
    try:
        with pytest.raises(DriverError) as caught:
            await DRIVER.connect([device(server.port)], home=".")
        assert (caught.value.scope, caught.value.retriable) == (Scope.SESSION, True)
        assert "rack, slot or TSAP" in caught.value.message
        for more in ({"slot": 2}, {"slot": 2, "connection_type": "op"}, {"remote_tsap": 0x0302, "local_tsap": 0x1000}):
            one = device(server.port, **more)
            session = await DRIVER.connect([one], home=".")
            assert (await values(session, one))["a"] == 100
            await session.close()
    finally:
        await server.close()


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"\x04" + data[1:],
        lambda data: data[:2] + b"\0\x03" + data[4:],
        lambda data: data[:5] + b"\x80" + data[6:],
        lambda data: data[:7] + b"\x72" + data[8:],
        lambda data: data[:8] + b"\x01" + data[9:],
        lambda data: data[:19] + b"\x05" + data[20:],
        lambda data: data[:20] + b"\x09" + data[21:],
        lambda data: data[:23] + b"\xff\xff" + data[25:],
        lambda data: b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
    ids=["version", "length", "disconnect", "s7-plus", "kind", "function", "count", "size", "http"],
)
async def test_what_is_no_answer_ends_the_session(change: Callable[[bytes], bytes]) -> None:
    async with linked() as (server, one, _), between(server.port, change) as port:
        session = await DRIVER.connect([device(port)], home=".")
        began = now_s()
        error = await fails(session, planned(one))
        assert (error.scope, error.retriable) == (Scope.SESSION, True)
        assert now_s() - began < TIMEOUT_MS / 1000, "it waited for its time-out"
        assert (await fails(session, planned(one))).scope is Scope.SESSION
        await session.close()


async def test_answers_in_pieces_and_in_several_tpdus_are_put_together() -> None:
    def scatter(data: bytes) -> bytes:
        body = data[7:]
        parts = [body[:9], body[9:30], body[30:]]
        return b"".join(
            b"\x03\0"
            + (len(part) + 7).to_bytes(2, "big")
            + b"\x02\xf0"
            + (b"\x80" if part is parts[-1] else b"\0")
            + part
            for part in parts
        )

    async with linked() as (server, one, _), between(server.port, scatter) as port:
        session = await DRIVER.connect([device(port)], home=".")
        assert (await values(session, one))["d"] == "mixer"
        await session.close()


async def test_a_silent_half_open_connection_is_given_up_at_the_second_timeout() -> None:
    """At the first the request may be what such a device drops behind each connect; it is repeated on the same one."""
    async with linked() as (server, one, _), between(server.port, lambda data: None) as port:
        session = await DRIVER.connect([device(port)], home=".")
        began = now_s()
        error = await fails(session, planned(one))
        assert (error.scope, error.reason) == (Scope.DEVICE, Reason.DEVICE_TIMEOUT)
        assert now_s() - began < TIMEOUT_MS / 1000 + 0.5
        error = await fails(session, planned(one))
        assert (error.scope, error.reason) == (Scope.SESSION, Reason.DEVICE_TIMEOUT)
        assert (await fails(session, planned(one))).scope is Scope.SESSION
        await session.close()


async def test_a_pause_is_kept_between_requests() -> None:
    async with linked(device(0, pause=40)) as (_, one, session):
        request = planned(one)
        began = now_s()
        for _ in range(3):
            await session.read(request)
        assert now_s() - began >= 0.08


async def test_browsing_tells_identity_blocks_and_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browse, "PROBED_BLOCKS", 100)
    async with linked() as (server, one, session):
        for informs in (True, False):
            server.cpu.informs = informs
            found = [browsed async for browsed in session.browse() if "beat" not in browsed.detail]
            facts = found[0].detail["facts"]
            assert (facts["order_code"], facts["firmware"]) == ("6ES7 214-1AG40-0XB0", "4.5.2")
            assert (facts["module_type"], facts["protection"], facts["pdu"]) == ("CPU 1214C DC/DC/DC", "1", "240")
            blocks = {browsed.path[0]: browsed for browsed in found[1:] if browsed.path[0].startswith("DB")}
            assert {name: browsed.detail["length"] for name, browsed in blocks.items()} == {"DB1": 16, "DB2": 8}
            listed = next(browsed.detail["facts"]["data_blocks"] for browsed in found if "data_blocks" in str(browsed))
            assert [(one["block"], one["length"]) for one in listed] == [("DB1", 16), ("DB2", 8)]
            others = [browsed for browsed in found[1:] if "facts" not in browsed.detail]
            assert all(browsed.type == "" and browsed.detail["skipped"] for browsed in others)
        (alone,) = [browsed async for browsed in session.browse(BrowseOptions(start="DB2"))]
        assert alone.detail["length"] == 8
        with pytest.raises(DriverError):
            await anext(session.browse(BrowseOptions(start="tank")))
        server.protect(one.path)
        server.cpu.informs = True
        found = [browsed async for browsed in session.browse()]
        assert [browsed.detail.get("protected") for browsed in found if "number" in browsed.detail] == [True, True]
