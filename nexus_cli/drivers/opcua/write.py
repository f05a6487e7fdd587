"""Writes: the value in exactly the node's own type, without status and times (many servers refuse those)."""

from __future__ import annotations

import base64
import binascii
import uuid
from datetime import datetime
from typing import Any

from asyncua import ua

from nexus_cli.drivers.base import DriverError, Effect, Point, Scope
from nexus_cli.drivers.opcua.address import NodeAddress
from nexus_cli.drivers.opcua.channel import Channel
from nexus_cli.drivers.opcua.groups import node_of
from nexus_cli.drivers.opcua.nodes import VALUE
from nexus_cli.drivers.opcua.status import item_error
from nexus_cli.drivers.opcua.values import FLOAT32_MAX, KIND_OF_BASE
from nexus_cli.model.datatype import INTEGER_BOUNDS
from nexus_cli.wire.sample import Reason, Value

BASE_OF_KIND = {KIND_OF_BASE[base]: base for base in INTEGER_BOUNDS}
MAX_KNOWN = 10_000
UNHEARD = frozenset({0x80050000, 0x800A0000, 0x80850000})
"""Bad_CommunicationError, Bad_Timeout, Bad_RequestTimeout."""
UNHEARD_CALLS = UNHEARD | {0x80010000, 0x80020000}
"""The same of a whole call, and Bad_UnexpectedError, Bad_InternalError: the server failed somewhere in it."""
MAX_DERIVED = 16
"""Types above a type that are looked at."""
ENUMERATION, INT32, HAS_SUBTYPE = 29, 6, 45
"""Source: OPC 10000-6 annex A (NodeIds); OPC 10000-3 §8.14: an enumeration is sent as Int32."""
CHANGED = frozenset({Reason.TYPE_MISMATCH, Reason.OVERFLOW})
"""What a node says, or its known type does, that has another type since."""


class VariantTypes:
    """The type that each written node has, read once per connection."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._known: dict[str, tuple[ua.VariantType, bool]] = {}

    async def of(self, node: ua.NodeId, what: str) -> tuple[ua.VariantType, bool]:
        """The node's built-in type, and whether it holds an array.

        Raises:
            DriverError: ITEM, no such node, or a type that can't be written.
        """
        name = node.to_string()
        found = self._known.get(name)
        if found is None:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            found = self._known[name] = await self._read(node, what)
        return found

    def known(self, node: ua.NodeId) -> tuple[ua.VariantType, bool] | None:
        """What is known of a node without asking."""
        return self._known.get(node.to_string())

    async def look_again(self, node: ua.NodeId, what: str) -> tuple[ua.VariantType, bool]:
        """As `of`, from the server: a program may have been loaded that made another node of it. Raises DriverError."""
        self._known.pop(node.to_string(), None)
        return await self.of(node, what)

    async def _read(self, node: ua.NodeId, what: str) -> tuple[ua.VariantType, bool]:
        session = self._channel.services
        answer = (await self._channel.call(what, lambda: session.read_attributes([node], VALUE)))[0]
        variant = answer.Value
        if variant is not None and variant.VariantType not in (None, ua.VariantType.Null):
            return variant.VariantType, bool(variant.is_array)
        return await self._declared(node, what)

    async def _declared(self, node: ua.NodeId, what: str) -> tuple[ua.VariantType, bool]:
        """From the DataType attribute: for a node that has no value yet."""
        session = self._channel.services
        answer = (await self._channel.call(what, lambda: session.read_attributes([node], ua.AttributeIds.DataType)))[0]
        code = int(answer.StatusCode.value) if answer.StatusCode is not None else 0
        if code >> 31:
            raise item_error(code, what)
        data_type = answer.Value.Value if answer.Value is not None else None
        number = await self._built_in(data_type, what)
        rank = (await self._channel.call(what, lambda: session.read_attributes([node], ua.AttributeIds.ValueRank)))[0]
        return ua.VariantType(number), bool(rank.Value is not None and (rank.Value.Value or -1) >= 1)

    async def _above(self, data_type: ua.NodeId, what: str) -> Any:
        parameters = ua.BrowseParameters()
        parameters.NodesToBrowse = [_supertype(data_type)]
        session = self._channel.services
        return await self._channel.call(what, lambda: session.browse(parameters))

    async def _built_in(self, data_type: Any, what: str) -> int:
        """Number of the built-in type that a data type is derived from. Raises DriverError, ITEM when there is none."""
        found = data_type
        for _ in range(MAX_DERIVED):
            if not isinstance(found, ua.NodeId):
                break
            number = found.Identifier if not found.NamespaceIndex else None
            if number == ENUMERATION:
                return INT32
            if isinstance(number, int) and 1 <= number <= 21:
                return number
            answers = await self._above(found, what)
            above = answers[0].References if answers else None
            found = above[0].NodeId if above else None
        raise _refused(f"{what}: the node has the type {data_type}, which can't be written", Reason.TYPE_MISMATCH)


def target(point: Point) -> NodeAddress:
    """The node that a point writes, with its range."""
    return node_of(point)


async def write(channel: Channel, types: VariantTypes, node: ua.NodeId, index: str, point: Point, value: Value) -> None:
    """Write one value.

    Raises:
        DriverError: ITEM when the server or the type refuses it; SESSION when the link is lost.
    """
    what = f"write {point.address}"
    known = types.known(node)
    try:
        found = await types.of(node, what)
    except DriverError as error:
        error.effect = Effect.NONE
        raise
    try:
        await _write_as(channel, node, index, value, what, found)
    except DriverError as error:
        if known is None or error.scope is not Scope.ITEM or error.reason not in CHANGED:
            raise
        try:
            found = await types.look_again(node, what)
        except DriverError as lost:
            lost.effect = Effect.REFUSED  # by the server, before it was looked up again
            raise
        if found == known:
            raise
        await _write_as(channel, node, index, value, what, found)


async def _write_as(
    channel: Channel, node: ua.NodeId, index: str, value: Value, what: str, found: tuple[ua.VariantType, bool]
) -> None:
    kind, is_array = found
    octets = kind is ua.VariantType.ByteString and not is_array and not isinstance(value, str)
    wanted = _octets(value, what) if octets else _convert(value, kind, what)
    if index and is_array and not isinstance(wanted, list):
        wanted = [wanted]  # an element of an array is written as an array of one; OPC 10000-4 §7.27
    if isinstance(wanted, list) != is_array:
        shape = "an array" if is_array else "a single value"
        raise _refused(f"{what}: the node holds {shape}", Reason.TYPE_MISMATCH)
    item = ua.WriteValue()
    item.NodeId = node
    item.AttributeId = VALUE
    if index:
        item.IndexRange = index
    item.Value = ua.DataValue(ua.Variant(wanted, kind, is_array=is_array), StatusCode=None)
    parameters = ua.WriteParameters()
    parameters.NodesToWrite = [item]
    session = channel.services
    try:
        results = await channel.call(what, lambda: session.write(parameters))
    except DriverError as error:
        if error.code and error.scope is not Scope.SESSION:  # a ServiceFault: nothing of the call was carried out
            unheard = error.code & 0xFFFF0000 in UNHEARD_CALLS
            error.effect = Effect.MAYBE if unheard else Effect.REFUSED
        raise
    code = int(results[0].value)
    if code >> 30:
        refused = item_error(code, what)
        # OPC 10000-4 §7.39: Uncertain is not a refusal: behind a server without an answer, the device may have the value.
        unheard = code >> 30 == 1 or code & 0xFFFF0000 in UNHEARD
        refused.effect = Effect.MAYBE if unheard else Effect.REFUSED
        raise refused


def _supertype(node: ua.NodeId) -> ua.BrowseDescription:
    wanted = ua.BrowseDescription()
    wanted.NodeId = node
    wanted.BrowseDirection = ua.BrowseDirection.Inverse
    wanted.ReferenceTypeId = ua.NodeId(HAS_SUBTYPE)
    wanted.IncludeSubtypes = False
    wanted.NodeClassMask = 0
    wanted.ResultMask = 0
    return wanted


def _convert(value: Value, kind: ua.VariantType, what: str) -> Any:
    if isinstance(value, list):
        return [_convert(item, kind, what) for item in value]
    number = int(kind.value)
    base = BASE_OF_KIND.get(number)
    if base is not None:
        return _integer(value, base, what)
    if number in (10, 11):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise _mismatch(value, kind, what)
        if number == 10 and FLOAT32_MAX < abs(value) < float("inf"):
            raise _refused(f"{what}: {value} does not fit a Float", Reason.OVERFLOW)
        return float(value)
    if number == 1:
        if not isinstance(value, bool):
            raise _mismatch(value, kind, what)
        return value
    if not isinstance(value, str):
        raise _mismatch(value, kind, what)
    return _text(value, number, kind, what)


def _octets(value: Value, what: str) -> bytes:
    """A list of bytes, or the one of an element, for a node that holds a ByteString."""
    many = value if isinstance(value, list) else [value]
    return bytes(_integer(one, "uint8", what) for one in many)


def _integer(value: Value, base: str, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value or value % 1:
        raise _refused(f"{what}: {value!r} is not a whole number", Reason.TYPE_MISMATCH)
    low, high = INTEGER_BOUNDS[base]
    if not low <= value <= high:
        raise _refused(f"{what}: {value} does not fit the node's {base} ({low} to {high})", Reason.OVERFLOW)
    return int(value)


def _text(value: str, number: int, kind: ua.VariantType, what: str) -> Any:
    try:
        if number == 12:
            return value
        if number == 13:
            return datetime.fromisoformat(value)
        if number == 14:
            return uuid.UUID(value)
        if number == 15:
            return base64.b64decode(value, validate=True)
        if number == 21:
            return ua.LocalizedText(value)
    except (ValueError, binascii.Error):
        pass
    raise _mismatch(value, kind, what)


def _mismatch(value: Value, kind: ua.VariantType, what: str) -> DriverError:
    return _refused(f"{what}: {value!r} is not a {kind.name}", Reason.TYPE_MISMATCH)


def _refused(message: str, reason: Reason) -> DriverError:
    return DriverError(message, scope=Scope.ITEM, retriable=False, reason=reason, effect=Effect.NONE)
