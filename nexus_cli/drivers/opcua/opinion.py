"""OPC UA: our client, and asyncua's own."""

from __future__ import annotations

import asyncio
import os

from asyncua import ua
from asyncua.ua.ua_binary import variant_to_binary

from nexus_cli.drivers.base import DriverError, Fault, Opinion, Point, Scope
from nexus_cli.drivers.opcua import identity
from nexus_cli.drivers.opcua.asking import asked
from nexus_cli.drivers.opcua.driver import DRIVER, client_of, secure
from nexus_cli.drivers.opcua.groups import node_of
from nexus_cli.drivers.opcua.nodes import node_id, read_value_id
from nexus_cli.drivers.opcua.refusals import Attempt
from nexus_cli.drivers.secrets import resolve
from nexus_cli.model.config import DeviceConfig
from nexus_cli.wire.sample import Reason


async def ours(device: DeviceConfig, point: Point, *, home: str) -> Opinion:
    """Ask with our client. Raises DriverError."""
    session = await DRIVER.connect([device], home=home)
    try:
        return await asked(session, device, point)
    finally:
        await session.close()


async def library(device: DeviceConfig, point: Point, *, home: str) -> Opinion:
    """Ask with asyncua's client, as published. Raises what it raises."""
    connection = device.connection
    endpoint = resolve(str(connection["endpoint"]))
    attempt = Attempt(endpoint, security=str(connection.get("security") or "None"))
    client = client_of(endpoint, connection)
    user = identity.of(connection, attempt, os.environ)
    if attempt.user:
        client.set_user(attempt.user)
        client.set_password(user.password)
    client.user_certificate, client.user_private_key = user.certificate, user.key
    await secure(client, attempt, connection, home)
    async with asyncio.timeout((connection.get("connect_timeout") or 8000) / 1000), client:
        address = node_of(point)
        node = node_id(address, await client.get_namespace_array())
        if node is None:
            raise DriverError("the server does not know the namespace", scope=Scope.ITEM)
        (answer,) = await client.uaclient.read(_parameters(node, address.range))
    if answer.Value is None or not answer.StatusCode.is_good():
        code = int(answer.StatusCode.value)
        return Opinion(
            asked=f"read({node.to_string()})",
            fault=Fault(Reason.DEVICE_ERROR, code),
            problem=answer.StatusCode.name,
        )
    value = answer.Value.Value
    plain = value if isinstance(value, (bool, int, float, str)) else None
    return Opinion(
        asked=f"read({node.to_string()})",
        data=variant_to_binary(answer.Value),
        value=plain if plain is not None else str(value),
    )


def _parameters(node: ua.NodeId, index: str) -> ua.ReadParameters:
    parameters = ua.ReadParameters()
    parameters.NodesToRead.append(read_value_id(node, index=index))
    parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
    return parameters
