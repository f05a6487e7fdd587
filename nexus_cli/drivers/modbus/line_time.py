"""How long frames take on a serial line. Pure.

Source: Modbus over Serial Line V1.02 §2.5.1 (characters of 11 bits, silence of 3.5 of them between frames).
"""

from __future__ import annotations

from nexus_cli.drivers.base import Request
from nexus_cli.drivers.modbus.connection import SERIAL_LINE
from nexus_cli.drivers.modbus.groups import Block
from nexus_cli.drivers.plugin import Exchange
from nexus_cli.model.config import DeviceConfig

SHORTEST_SILENCE_S = 0.00175
"""Silence between frames above 19200 baud. Source: §2.5.1.1."""
ASKED_BYTES = 8
"""A read: unit, function, start, count and checksum. Source: §2.5.1.2 with Modbus Application Protocol V1.1b3 §6.1 to §6.4."""
FRAME_BYTES = 5
"""Of an answer beside its data: unit, function, length and checksum."""
BIT_FUNCTIONS = (1, 2)


def character_bits(*, bytesize: int, parity: str, stopbits: int) -> int:
    """Bits of one character: start, data, parity and stop."""
    return 1 + bytesize + (parity != "none") + stopbits


def silence_s(*, bits: int, baudrate: int) -> float:
    """Silence that separates two frames, in seconds."""
    return max(3.5 * bits / baudrate, SHORTEST_SILENCE_S)


def exchange(device: DeviceConfig, request: Request) -> Exchange:
    """What one grouped read is on the wire: scale factors outside of the block are read on their own, each once."""
    block: Block = request.detail
    counts = [block.count, *(1 for _ in {register for _, register in block.scales})]
    if device.connection.get("serial") is None:
        return Exchange(len(counts))
    line = {key: device.connection.get(key) or value for key, value in SERIAL_LINE.items()}
    baudrate = int(line["baudrate"])
    bits = character_bits(bytesize=int(line["bytesize"]), parity=str(line["parity"]), stopbits=int(line["stopbits"]))
    sent = sum(ASKED_BYTES + FRAME_BYTES + _data_bytes(block.function, count) for count in counts)
    quiet_s = 2 * len(counts) * silence_s(bits=bits, baudrate=baudrate)
    return Exchange(len(counts), (sent * bits / baudrate + quiet_s) * 1000)


def _data_bytes(function: int, count: int) -> int:
    return (count + 7) // 8 if function in BIT_FUNCTIONS else 2 * count
