"""Devices that take only reads of one thing, by protocol: how a joined read is known, and how it can be refused."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
from asyncua.ua.ua_binary import nodeid_from_binary

from nexus_cli.drivers.ads.frame import AMS_HEADER_BYTES, HEADER, READ_WRITE
from nexus_cli.drivers.modbus.pdu import checksum
from nexus_cli.model.config import DeviceConfig, TagConfig
from tests.contract.driver_case import DriverCase, constant
from tests.garble import CUT, Ask

SUM_READ = 0xF080
"""Source: Beckhoff, ADS specification: ADSIGRP_SUMUP_READ."""
ADS_ALONE = 4
"""Items of a sum read of one symbol: what watches the PLC goes with it."""
OPCUA_NODE = re.compile(rb"\x03..[\2\3]\0\0\0n\d\d?\x0d\0\0\0", re.DOTALL)
"""A node of `of_words` and the attribute Value. Source: OPC 10000-6 §5.2.2.9 (NodeId), OPC 10000-4 §7.29 (ReadValueId)."""


@dataclass(frozen=True)
class Hostility:
    """One way of taking a joined read.

    Attributes:
        name: For people.
        answer: What the question is answered with; b"" is nothing, `CUT` closes the connection.
    """

    name: str
    answer: Callable[[bytes], bytes]


def modbus_tcp(code: int) -> Callable[[bytes], bytes]:
    """An exception response."""
    return lambda asked: asked[:4] + b"\0\3" + asked[6:7] + bytes((asked[7] | 0x80, code))


def modbus_rtu(code: int) -> Callable[[bytes], bytes]:
    """An exception response in an RTU frame."""

    def answer(asked: bytes) -> bytes:
        body = bytes((asked[0], asked[1] | 0x80, code))
        return body + checksum(body)

    return answer


def s7_error(code: int) -> Callable[[bytes], bytes]:
    """A job that is refused as a whole, with error class and code. Source: Wireshark s7comm, header of ACK_DATA."""

    def answer(asked: bytes) -> bytes:
        job = b"\x32\x03\0\0" + asked[11:13] + b"\0\2\0\0" + code.to_bytes(2, "big") + b"\x04\0"
        return struct.pack(">BBH", 3, 0, 7 + len(job)) + b"\x02\xf0\x80" + job

    return answer


def ads_error(code: int) -> Callable[[bytes], bytes]:
    """An AMS error in the place of the answer's data."""

    def answer(asked: bytes) -> bytes:
        _, _, target, source, command, _, _, _, invoke = HEADER.unpack_from(asked)
        return HEADER.pack(0, AMS_HEADER_BYTES, source, target, command, 5, 0, code, invoke)

    return answer


def opcua_fault(status: int) -> Callable[[bytes], bytes]:
    """A ServiceFault. Source: OPC 10000-6 §7.1.2 (message chunk), OPC 10000-4 §7.33 (ResponseHeader)."""

    def answer(asked: bytes) -> bytes:
        stream = io.BytesIO(asked[28:])
        nodeid_from_binary(stream)
        handle = stream.read(12)[8:]
        body = b"\x01\x00\x8d\x01" + bytes(8) + handle + struct.pack("<I", status) + b"\0" + struct.pack("<i", -1)
        body += b"\0\0\0"
        return b"MSGF" + struct.pack("<I", 24 + len(body)) + asked[8:24] + body

    return answer


def _modbus_joined(asked: bytes) -> bool:
    return asked[7] in (1, 2, 3, 4) and int.from_bytes(asked[10:12], "big") > 1


def _rtu_joined(asked: bytes) -> bool:
    return asked[1] in (1, 2, 3, 4) and int.from_bytes(asked[4:6], "big") > 1


def _s7_joined(asked: bytes) -> bool:
    read = len(asked) > 25 and asked[8] == 1 and asked[17] == 4
    return read and (asked[18] > 1 or int.from_bytes(asked[23:25], "big") > 2)


def _ads_sum_items(asked: bytes) -> int:
    """Items of a sum read, 0 for any other frame."""
    if len(asked) < HEADER.size + 8 or HEADER.unpack_from(asked)[4] != READ_WRITE:
        return 0
    group, count = struct.unpack_from("<II", asked, HEADER.size)
    return int(count) if group == SUM_READ else 0


def _rtu_refusals() -> list[Hostility]:
    return [Hostility(f"exception-{code}", modbus_rtu(code)) for code in (2, 4, 11)]


@dataclass(frozen=True, kw_only=True)
class Frames:
    """What the tests know of a protocol's frames.

    Attributes:
        is_joined: Whether a frame asks for several things at once.
        is_read: Whether a frame asks for values of `of_words`.
        busy: A refusal with this code, which asks for another try.
        refusals: Ways of refusing a read as a whole.
        word: Type and address of the word at a place.
    """

    is_joined: Callable[[bytes], bool]
    is_read: Callable[[bytes], bool]
    busy: Callable[[int], Callable[[bytes], bytes]]
    refusals: Sequence[Hostility]
    word: Callable[[int], tuple[str, str]]


def _register(at: int) -> tuple[str, str]:
    return "uint16", f"holding:{at}"


_RTU = Frames(
    is_joined=_rtu_joined,
    is_read=lambda asked: asked[1] in (1, 2, 3, 4),
    busy=modbus_rtu,
    refusals=_rtu_refusals(),
    word=_register,
)
FRAMES: dict[str, Frames] = {
    "modbus": Frames(
        is_joined=_modbus_joined,
        is_read=lambda asked: asked[7] in (1, 2, 3, 4),
        busy=modbus_tcp,
        refusals=[Hostility(f"exception-{code}", modbus_tcp(code)) for code in range(1, 12)],
        word=_register,
    ),
    "modbus-rtu-over-tcp": _RTU,
    "modbus-serial": _RTU,
    "s7": Frames(
        is_joined=_s7_joined,
        is_read=lambda asked: len(asked) > 17 and (asked[8] == 7 or (asked[8] == 1 and asked[17] == 4)),
        busy=s7_error,
        refusals=[Hostility("job-error", s7_error(0x8500))],
        word=lambda at: ("int16", f"%DB1:{at * 2}:INT"),
    ),
    "ads": Frames(
        is_joined=lambda asked: _ads_sum_items(asked) > ADS_ALONE,
        is_read=lambda asked: _ads_sum_items(asked) >= ADS_ALONE,
        busy=ads_error,
        refusals=[Hostility(f"error-{code}", ads_error(code)) for code in (4, 1793, 1800)],
        word=lambda at: ("int16", f"MAIN.n{at}"),
    ),
    "opcua": Frames(
        is_joined=lambda asked: len(OPCUA_NODE.findall(asked)) > 1,
        is_read=lambda asked: bool(OPCUA_NODE.search(asked)),
        busy=opcua_fault,
        refusals=[Hostility(f"status-{status >> 16:x}", opcua_fault(status)) for status in (0x80100000, 0x80020000)],
        word=lambda at: ("int16", f"nsu=urn:hostile;s=n{at}"),
    ),
}
"""By the name of a driver case. A new case without an entry fails as a KeyError with its name."""


def is_read(name: str, asked: bytes) -> bool:
    """Whether a frame asks for values of `of_words`: what comes before is how the protocol opens its session.

    S7's question for the CPU's state counts too, since another client would not ask it.
    """
    return FRAMES[name].is_read(asked)


def busy(name: str, code: int) -> Callable[[bytes], bytes]:
    """A refusal that asks for another try."""
    return FRAMES[name].busy(code)


def hostilities(protocol: str) -> list[Hostility]:
    """Every way in which a device of this protocol may take a joined read."""
    return [
        Hostility("silence", lambda asked: b""),
        Hostility("closed", lambda asked: CUT),
        Hostility("garbage", lambda asked: b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        *FRAMES[protocol].refusals,
    ]


def hostile(protocol: str, one: Hostility) -> Ask:
    """Takes joined reads in this way, and lets all else pass."""
    is_joined = FRAMES[protocol].is_joined
    return lambda asked: one.answer(asked) if is_joined(asked) else None


def of_words(case: DriverCase, device: DeviceConfig) -> DeviceConfig:
    """The device with twelve tags that are one word each, some side by side and some over gaps."""
    places = (0, 1, 2, 5, 6, 9, 20, 21, 40, 41, 42, 43)
    at_place = FRAMES[case.name].word
    tags: dict[str, TagConfig] = {}
    for at in places:
        type_, address = at_place(at)
        tags[f"n{at}"] = msgspec.structs.replace(constant(type_, address, at), poll_ms=100)
    return msgspec.structs.replace(device, tags=tags)
