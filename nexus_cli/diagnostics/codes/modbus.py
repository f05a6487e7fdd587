"""Band 3, the protocol Modbus: addresses and limits."""

from nexus_cli.diagnostics.codes.code import Code, yaml
from nexus_cli.diagnostics.diagnostic import Severity

CODES: tuple[Code, ...] = (
    Code(
        id="NX3101",
        slug="modbus-address",
        summary="The text is not a Modbus address.",
        why="A tag that can't be located can't be read; nothing is guessed.",
        bad=yaml("voltage: {address: 'hold:100', type: uint16}"),
        good=yaml("voltage: {address: 'holding:100', type: uint16}"),
    ),
    Code(
        id="NX3102",
        slug="modbus-base",
        summary="A bare number does not say the area or the base.",
        why="Manuals count registers from 0 or from 1; off by one reads the neighbouring value, which looks plausible.",
        bad=yaml("voltage: {address: 40000, type: uint16}"),
        good=yaml("voltage: {address: 'holding:40000', type: uint16}   # zero-based; 440001 is the same, one-based"),
    ),
    Code(
        id="NX3103",
        slug="modbus-extent",
        summary="The address is beyond the last Modbus address.",
        why="An address is 16 bits on the wire, and a value of several registers must end before 65536.",
        bad=yaml("total: {address: 'holding:65535', type: float32}"),
        good=yaml("total: {address: 'holding:65534', type: float32}"),
    ),
    Code(
        id="NX3104",
        slug="modbus-type",
        summary="Modbus or this area does not have the type.",
        why="Coils and discrete inputs are single bits; registers hold numbers, bits and strings.",
        bad=yaml("level: {address: 'coil:4', type: float32}"),
        good=yaml("level: {address: 'holding:4', type: float32}"),
    ),
    Code(
        id="NX3105",
        slug="modbus-read-only",
        summary="A writable tag is in a read-only area.",
        why="Input registers and discrete inputs have no write function; a command would always fail.",
        bad=yaml("temperature: {address: 'input:4', type: int16, writable: true}"),
        good=yaml("setpoint: {address: 'holding:4', type: int16, writable: true}"),
    ),
    Code(
        id="NX3106",
        slug="modbus-order",
        summary="The byte order does not fit the type.",
        why="A wrong order gives numbers that are off by many powers of two, or subtly wrong.",
        bad=yaml("energy: {address: 'input:342', type: float32, order: ABDC}"),
        good=yaml("energy: {address: 'input:342', type: float32, order: CDAB}"),
    ),
    Code(
        id="NX3107",
        slug="modbus-string-length",
        summary="A string has no length.",
        why="Registers don't say where a string ends; the length decides how many are read.",
        bad=yaml("serial: {address: 'holding:10', type: string}"),
        good=yaml("serial: {address: 'holding:10', type: 'string[16]'}"),
    ),
    Code(
        id="NX3108",
        slug="modbus-contradiction",
        summary="The address and a key of the tag contradict each other.",
        why="One of the two is a typing error; reading either would be a guess.",
        bad=yaml("count: {address: '4x00101:UINT', type: int32}"),
        good=yaml("count: {address: '4x00101:UINT', type: uint16}"),
    ),
    Code(
        id="NX3109",
        slug="modbus-too-long",
        summary="A value is longer than one request.",
        why="A value that is read in two requests can be half old and half new.",
        bad=yaml("curve: {address: 'holding:0', type: 'float32[100]'}   # 200 registers"),
        good=yaml("curve-1: {address: 'holding:0', type: 'float32[60]'}"),
    ),
    Code(
        id="NX3110",
        slug="modbus-bit",
        summary="The bit is missing or does not exist.",
        why="A register has the bits 0 (least significant) to 15, and a bool is one of them.",
        bad=yaml("running: {address: 'holding:100', type: bool}"),
        good=yaml("running: {address: 'holding:100.3', type: bool}"),
    ),
    Code(
        id="NX3111",
        slug="modbus-one-based",
        summary="A one-based number is used with a zero-based area.",
        why="Manuals and SCADA systems number holding registers from 40001; behind 'holding:' the number is the one on the "
        "wire, so 'holding:40101' is 40,000 registers further on, where most devices have nothing. "
        "Devices that do use such numbers, as SunSpec's from 40000, are accepted once one of their tags is at 40000.",
        bad=yaml("power: {address: 'holding:40101', type: uint16}"),
        good=yaml("power: {address: '40101', type: uint16}   # or holding:100"),
        severity=Severity.WARNING,
    ),
    Code(
        id="NX3112",
        slug="modbus-serial",
        summary="A connection is both serial and TCP, or neither.",
        why="A device is connected to a serial port of the gateway's computer or reached by host and port. Keys of the "
        "other kind would be ignored silently.",
        bad=yaml("connection: {host: 10.0.0.9, serial: /dev/ttyUSB0, unit_id: 3}"),
        good=yaml("connection: {serial: /dev/ttyUSB0, baudrate: 19200, parity: even, unit_id: 3}"),
    ),
)
