"""Modbus: our client, and pymodbus."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

from pymodbus import FramerType
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException

from nexus_cli.drivers.base import CannotAsk, DriverError, Opinion, Point, Scope
from nexus_cli.drivers.modbus.asking import asked, decoded, request_of
from nexus_cli.drivers.modbus.connection import SERIAL_LINE
from nexus_cli.drivers.modbus.driver import DRIVER
from nexus_cli.drivers.modbus.field import Field, field_of
from nexus_cli.drivers.modbus.url import DEFAULT_PORT
from nexus_cli.drivers.secrets import resolve
from nexus_cli.model.config import DeviceConfig
from nexus_cli.wire.sample import Reason, Value

_TYPES = ("int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64")
_WORDS: dict[str, Literal["big", "little"]] = {
    "AB": "big",
    "ABCD": "big",
    "CDAB": "little",
    "ABCDEFGH": "big",
    "GHEFCDAB": "little",
}
"""Orders that pymodbus has a name for: words in either order, bytes in a word as Modbus has them."""


async def ours(device: DeviceConfig, point: Point, *, home: str) -> Opinion:
    """Ask with our client. Raises DriverError."""
    session = await DRIVER.connect([device], home=home)
    try:
        return await asked(session, device, point)
    finally:
        await session.close()


async def library(device: DeviceConfig, point: Point, *, home: str) -> Opinion:
    """Ask with pymodbus, as published. Raises DriverError, and what pymodbus raises."""
    _, block = request_of(device, point)
    async with Registers(device.connection) as client:
        raw = await client.read(block.function, block.start, block.count, unit=block.unit_id)
    field = field_of(point)
    return Opinion.of_library(
        f"{_CALLS[block.function]}({block.start}, count={block.count}, device_id={block.unit_id})",
        raw,
        None if block.scales else _own_words(field, raw),
        partial(decoded, block),
    )


def _own_words(field: Field, raw: bytes) -> Value:
    """The value as pymodbus makes it of its registers; None for what it has no type for."""
    if field.in_bits or field.kind.count or field.bit or field.scale_at is not None:
        return None
    if field.kind.base not in _TYPES or field.order not in _WORDS:
        return None
    registers = [int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2)]
    kind = AsyncModbusTcpClient.DATATYPE[field.kind.base.upper()]
    if len(registers) != kind.value[1]:
        return None
    value: Any = AsyncModbusTcpClient.convert_from_registers(registers, kind, word_order=_WORDS[field.order])
    return value if isinstance(value, (int, float)) else None


LENIENT = {
    "any_unit": "pymodbus takes no answer under another unit id",
    "any_transaction": "pymodbus takes no answer under another transaction id",
}
"""What a connection may forgive a device and pymodbus does not, by key."""
_CALLS = {1: "read_coils", 2: "read_discrete_inputs", 3: "read_holding_registers", 4: "read_input_registers"}


class Registers:
    """pymodbus for one connection of a device, open for the length of a block."""

    def __init__(self, connection: Mapping[str, Any]) -> None:
        """Nothing is opened yet. Raises DriverError when a reference can't be resolved."""
        logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # what goes wrong is in our answer
        timeout_s = (connection.get("timeout") or 1000) / 1000
        self._client: AsyncModbusTcpClient | AsyncModbusSerialClient
        self._lenient = next((key for key in LENIENT if connection.get(key)), "")
        if connection.get("serial"):
            line = {key: connection.get(key) or usual for key, usual in SERIAL_LINE.items()}
            self._client = AsyncModbusSerialClient(
                resolve(str(connection["serial"])),
                baudrate=int(line["baudrate"]),
                bytesize=int(line["bytesize"]),
                parity=str(line["parity"])[0].upper(),
                stopbits=int(line["stopbits"]),
                handle_local_echo=bool(connection.get("echo")),
                timeout=timeout_s,
                retries=0,
            )
        else:
            rtu = connection.get("framing") == "rtu-over-tcp"
            self._client = AsyncModbusTcpClient(
                resolve(str(connection.get("host", ""))),
                port=int(connection.get("port") or DEFAULT_PORT),
                framer=FramerType.RTU if rtu else FramerType.SOCKET,
                timeout=timeout_s,
                retries=0,
                reconnect_delay=0,
            )

    async def __aenter__(self) -> Registers:
        if not await self._client.connect():
            raise DriverError("pymodbus could not connect", scope=Scope.SESSION)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._client.close()

    async def read(self, function: int, start: int, count: int, *, unit: int) -> bytes:
        """Registers or bits as they came, bits eight to a byte.

        Raises:
            DriverError: The device refuses, or does not answer.
            CannotAsk: It does not answer in a way that pymodbus takes.
        """
        call = getattr(self._client, _CALLS[function])
        try:
            answer = await call(start, count=count, device_id=unit)
        except ModbusException as error:  # nothing came that it takes for an answer
            if self._lenient:
                raise CannotAsk(f"{LENIENT[self._lenient]} ({self._lenient}: true in the connection)") from None
            raise DriverError(
                f"{_CALLS[function]}: {error}", scope=Scope.DEVICE, reason=Reason.DEVICE_TIMEOUT
            ) from None
        if answer.isError():
            code = int(getattr(answer, "exception_code", 0) or 0)
            raise DriverError(f"{_CALLS[function]}: {answer}", scope=Scope.REQUEST, retriable=False, code=code)
        return (
            _packed(answer.bits[:count])
            if function <= 2
            else b"".join(one.to_bytes(2, "big") for one in answer.registers)
        )


def _packed(bits: Sequence[bool]) -> bytes:
    packed = sum(1 << place for place, bit in enumerate(bits) if bit)
    return packed.to_bytes((len(bits) + 7) // 8, "little")
