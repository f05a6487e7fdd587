"""Walks over servers whose limits are tight: nodes a call, references an answer, continuation points."""

from __future__ import annotations

from typing import Any

import pytest
from asyncua import ua
from asyncua.common.utils import ServiceError

from nexus_cli.drivers.base import Browsed, BrowseOptions
from nexus_cli.drivers.opcua.driver import OpcuaDriver
from nexus_cli.drivers.opcua.session import OpcuaSession
from nexus_cli.drivers.opcua.simulator import SimulatorServer, serve
from nexus_cli.model.config import DeviceConfig, TagConfig

pytestmark = pytest.mark.own_time

URI = "http://acme.example/tight"
FOLDERS, PER = 12, 9


class Tight:
    """Keeps a server to its limits. asyncua's own has no BrowseNext, so that this one replaces it."""

    def __init__(self, *, nodes: int = 1_000, references: int = 4, points: int = 1) -> None:
        self.nodes, self.references, self.points = nodes, references, points
        self.open: dict[bytes, list[Any]] = {}
        self.refused = self.most = 0

    def of(self, server: SimulatorServer, session: OpcuaSession) -> None:
        """Take the place of the server's view service, and of BrowseNext."""
        service = server.server.iserver.view_service
        plain = service.browse

        def browse(parameters: Any) -> Any:
            if len(parameters.NodesToBrowse) > self.nodes:
                raise ServiceError(ua.StatusCodes.BadTooManyOperations)
            self.most = max(self.most, len(parameters.NodesToBrowse))
            return [self._cut(result) for result in plain(parameters)]

        async def browse_next(parameters: Any) -> Any:
            return [self._cut(self._rest(point)) for point in parameters.ContinuationPoints]

        service.browse = browse
        session.channel.client.uaclient.session.browse_next = browse_next

    def _rest(self, point: bytes) -> Any:
        result = ua.BrowseResult()
        result.References = self.open.pop(point)
        return result

    def _cut(self, result: Any) -> Any:
        if len(result.References) <= self.references:
            return result
        cut = ua.BrowseResult()
        if len(self.open) >= self.points:
            self.refused += 1
            cut.StatusCode = ua.StatusCode(ua.StatusCodes.BadNoContinuationPoints)
            return cut
        cut.References = result.References[: self.references]
        cut.ContinuationPoint = f"p{len(self.open)}-{id(result)}".encode()
        self.open[cut.ContinuationPoint] = result.References[self.references :]
        return cut


def device(port: int = 0, *, folder: int = 0) -> DeviceConfig:
    tags = {f"v{at}": TagConfig(type="float64", address=f"nsu={URI};s=F{folder}.V{at}") for at in range(PER)}
    connection = {"endpoint": f"opc.tcp://127.0.0.1:{port}", "profile": "open", "timeout": 2_000}
    return DeviceConfig(path=f"area/line/f{folder}", protocol="opcua", connection=connection, tags=tags)


async def walk(tight: Tight, home: str, *, parallel: int = 4) -> tuple[list[Browsed], OpcuaSession]:
    server = await serve([device(folder=folder) for folder in range(FOLDERS)])
    try:
        session = await OpcuaDriver().connect([device(server.port)], home=home)
        try:
            tight.of(server, session)
            return [one async for one in session.browse(BrowseOptions(parallel=parallel))], session
        finally:
            await session.close()
    finally:
        await server.close()


async def test_a_limit_on_browsed_nodes_is_learnt_and_everything_is_found(tmp_path: Any) -> None:
    tight = Tight(nodes=7, references=1_000)
    found, session = await walk(tight, str(tmp_path))
    assert [one.type for one in found].count("float64") == FOLDERS * PER
    assert session.limits.browse <= 7
    assert tight.most > 1


async def test_a_server_with_one_continuation_point_is_walked_whole(tmp_path: Any) -> None:
    tight = Tight(points=1)
    found, _ = await walk(tight, str(tmp_path))
    addresses = [one.address for one in found if one.type]
    assert len(addresses) == len(set(addresses)) == FOLDERS * PER
    assert not [one for one in found if one.detail.get("unseen")]
    assert not tight.open
    assert tight.refused, "it ran out of them on the way"


async def test_what_a_server_without_continuation_points_keeps_to_itself_is_named(tmp_path: Any) -> None:
    found, _ = await walk(Tight(points=0), str(tmp_path))
    unseen = [one for one in found if one.detail.get("unseen")]
    assert unseen
    assert all("no continuation point left" in one.detail["skipped"] for one in unseen)
