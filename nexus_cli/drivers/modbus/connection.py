"""How the site language says where a Modbus device is: over TCP, or on a serial line. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from nexus_cli.drivers.modbus.order import canonical_order
from nexus_cli.drivers.modbus.url import DEFAULT_PORT
from nexus_cli.json_value import JsonObject
from nexus_cli.model.driver_kind import AddressError
from nexus_cli.model.hosts import Host
from nexus_cli.model.site import Connection

MAX_READ = 125
"""Registers in one read. Source: Modbus Application Protocol V1.1b3 §6.3, §6.4."""
MAX_READ_BITS = 2000
"""Bits in one read. Source: §6.1, §6.2."""
MAX_WRITE = 123
"""Registers in one write. Source: §6.12."""

SERIAL_LINE: dict[str, int | str] = {"baudrate": 19_200, "parity": "even", "stopbits": 1, "bytesize": 8}
"""Settings of a serial line that says nothing else. Source: Modbus over Serial Line V1.02 §3.2, §2.5.1."""


class ModbusConnection(Connection):
    """How to reach a Modbus device. Devices behind one host and port, or on one serial line, share one connection."""

    host: Host | None = Field(default=None, min_length=1, description="Name or IP address; or `serial`.")
    port: int = Field(default=DEFAULT_PORT, ge=1, le=65535, description="TCP port.")
    serial: str | None = Field(
        default=None,
        min_length=1,
        description="Serial line that the devices hang on, instead of `host` (pip install 'nexus-cli[serial]'). A name below /dev/serial/by-id stays when the adapter is plugged in again.",
        examples=["/dev/serial/by-id/usb-FTDI_FT232R_A1-if00-port0", "/dev/ttyUSB0"],
    )
    baudrate: int | None = Field(
        default=None, ge=300, le=4_000_000, description="Bits per second of the serial line (default 19200)."
    )
    parity: Literal["even", "odd", "none"] | None = Field(
        default=None, description="Parity of the serial line (default even)."
    )
    stopbits: Literal[1, 2] | None = Field(default=None, description="Stop bits of the serial line (default 1).")
    bytesize: Literal[8] | None = Field(
        default=None, description="Data bits of the serial line; RTU frames need all eight."
    )
    unit_id: int = Field(default=1, ge=0, le=255, description="Unit id (slave address); 1 for most TCP devices.")
    framing: Literal["tcp", "rtu-over-tcp", "rtu"] = Field(
        default="tcp",
        description="Modbus TCP, or RTU frames with checksum in a TCP stream (serial servers). On a serial line: rtu, by itself.",
    )
    any_unit: bool | None = Field(
        default=None, description="Take answers under another unit id, from devices that answer as unit 0."
    )
    any_transaction: bool | None = Field(
        default=None, description="Take answers under another transaction id, from servers that count their own."
    )
    echo: bool | None = Field(
        default=None,
        description="RTU: what is sent comes back before the answer (two-wire adapters). Left out, it is found out.",
    )
    base: Literal[0, 1] = Field(default=0, description="What the number in `holding:100` counts from in this device.")
    order: str | None = Field(
        default=None,
        description="Byte order of values over registers for the whole device: ABCD (default), CDAB, BADC, DCBA, …",
        examples=["ABCD", "CDAB", "BADC", "DCBA"],
    )
    max_read: int = Field(
        default=MAX_READ, ge=1, le=MAX_READ, description="Most registers the device gives in one read."
    )
    max_read_bits: int = Field(
        default=MAX_READ_BITS, ge=1, le=MAX_READ_BITS, description="Most bits the device gives in one read."
    )
    max_write: int = Field(
        default=MAX_WRITE, ge=1, le=MAX_WRITE, description="Most registers the device takes in one write."
    )
    max_gap: int = Field(
        default=50, ge=0, le=MAX_READ, description="Most unused registers to read along so that two reads become one."
    )
    single_field: bool = Field(default=False, description="One tag per request, for devices that refuse more.")
    write_function: Literal["auto", "single", "multiple"] = Field(
        default="auto", description="FC05/FC06 (single), FC15/FC16 (multiple), or whichever fits the value (auto)."
    )
    bit_write: Literal["auto", "mask", "read-modify-write"] = Field(
        default="auto",
        description="How a bit of a register is written: FC22, read and write back, or FC22 with that as fallback.",
    )

    @field_validator("order")
    @classmethod
    def _known_order(cls, name: str | None) -> str | None:
        if name is not None:
            canonical_order(name, size=8)
        return name

    @model_validator(mode="before")
    @classmethod
    def _fill_the_line(cls, written: Any) -> Any:
        # Filled in, two devices of one line that say a default and leave it out agree.
        if isinstance(written, Mapping) and written.get("serial") is not None:
            return {**SERIAL_LINE, "framing": "rtu", **written}
        return written

    @model_serializer(mode="wrap")
    def _without_tcp(self, plain: SerializerFunctionWrapHandler) -> JsonObject:
        written: JsonObject = plain(self)
        if self.serial is not None and self.host is None:
            written.pop("port", None)
        return written


def link_of(connection: ModbusConnection) -> str:
    """The link's id: one TCP connection per host and port, one per serial line.

    Raises:
        AddressError: NX3112, the keys of TCP and of a serial line contradict each other, or both are missing.
    """
    if connection.serial is not None:
        _check_serial(connection)
        return f"serial:{connection.serial}"
    if connection.host is None:
        raise AddressError(
            "the connection has neither 'host' nor 'serial'",
            key="host",
            hint="host: 10.0.0.9, or serial: /dev/ttyUSB0",
            code="NX3112",
        )
    for key in SERIAL_LINE:
        if getattr(connection, key) is not None:
            raise AddressError(
                f"'{key}' is of a serial line, '{connection.host}' is reached over TCP",
                key=key,
                hint="remove it: a serial server has its own line settings; or write serial: instead of host:",
                code="NX3112",
            )
    if connection.any_transaction and connection.framing != "tcp":
        raise AddressError(
            "RTU frames have no transaction id", key="any_transaction", hint="remove any_transaction", code="NX3112"
        )
    if connection.echo is not None and connection.framing == "tcp":
        raise AddressError("Modbus TCP has no echo", key="echo", hint="remove echo", code="NX3112")
    if connection.framing == "rtu":
        raise AddressError(
            "framing rtu is for serial lines", key="framing", hint="framing: rtu-over-tcp", code="NX3112"
        )
    return f"tcp:{connection.host}:{connection.port}"


def _check_serial(connection: ModbusConnection) -> None:
    if connection.host is not None:
        raise AddressError(
            "'host' and 'serial' exclude each other",
            key="serial",
            hint="serial: for a line of the gateway's computer, host: for a serial server",
            code="NX3112",
        )
    if "port" in connection.model_fields_set:
        raise AddressError("a serial line has no TCP port", key="port", hint="remove port", code="NX3112")
    if connection.any_transaction:
        raise AddressError(
            "RTU frames have no transaction id", key="any_transaction", hint="remove any_transaction", code="NX3112"
        )
    if connection.framing != "rtu":
        raise AddressError(
            f"framing {connection.framing} is for TCP, a serial line carries RTU frames",
            key="framing",
            hint="remove framing",
            code="NX3112",
        )
