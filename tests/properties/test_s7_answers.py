"""Whatever a CPU answers to a job: a value, a fault, or a DriverError."""

from __future__ import annotations

import asyncio
import contextlib
import struct

from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.drivers.base import BrowseOptions, DriverError, points_of
from nexus_cli.drivers.s7.driver import DRIVER
from nexus_cli.drivers.s7.pdu import ACK, ACK_DATA, DATA_HEADER, FRAME_HEADER, JOB, READ, USERDATA, WRITE
from nexus_cli.drivers.s7.session import S7Session
from nexus_cli.drivers.transport import ConnectionLost, RequestTimeout
from nexus_cli.model.config import DeviceConfig, TagConfig

TAGS = {
    "word": ("uint16", "%DB1:0:WORD"),
    "bit": ("bool", "%DB1:2.3:BOOL"),
    "text": ("string", "%DB1:4:STRING(20)"),
    "wide": ("string", "%DB2:0:WSTRING(300)"),
    "time": ("datetime", "%DB1:30:DTL"),
    "old": ("datetime", "%DB1:42:DT"),
    "many": ("float32[300]", "%DB3:0:REAL[300]"),
    "timer": ("duration", "%T4:TIMER"),
    "count": ("uint16", "%C4:COUNTER"),
    "mark": ("int16", "%M0:INT"),
}
CODES = st.sampled_from([0xFF, 0xFF, 0xFF, 0x01, 0x03, 0x05, 0x06, 0x07, 0x0A, 0x00, 0x7E])
ERRORS = st.sampled_from([0, 0, 0, 0, 0x8104, 0x8500, 0x8702, 0xD241, 0xFFFF])


class Lying:
    """A channel to a CPU whose frames are in order, and nothing in them."""

    host, port, tsap = "cpu", 102, 0x0101

    def __init__(self, data: st.DataObject, pdu: int) -> None:
        self.pdu = pdu
        self._data = data

    async def ask(self, template: bytes) -> bytes:
        draw = self._data.draw
        kind = draw(st.sampled_from(["right"] * 6 + ["any", "cut", "lost", "timeout"]))
        if kind == "lost":
            raise ConnectionLost("gone")
        if kind == "timeout":
            raise RequestTimeout
        made = self._any() if kind == "any" else self._right(template)
        frame = struct.pack(">BBH", 3, 0, len(made) + FRAME_HEADER) + DATA_HEADER + made
        if kind == "cut":
            frame = frame[: draw(st.integers(FRAME_HEADER + 10, max(FRAME_HEADER + 10, len(frame))))]
        return frame

    def close(self) -> None:
        """Nothing to close."""

    def _any(self) -> bytes:
        draw = self._data.draw
        kind = draw(st.sampled_from([JOB, ACK, ACK_DATA, USERDATA, 9]))
        return bytes((0x32, kind)) + draw(st.binary(min_size=8, max_size=90))

    def _right(self, template: bytes) -> bytes:
        """What belongs to the job by its form."""
        draw = self._data.draw
        if template[8] == USERDATA:
            body = draw(st.one_of(st.binary(max_size=90), st.builds(self._szl, st.binary(max_size=60))))
            more, error = draw(st.booleans()), draw(ERRORS)
            parameters = (
                b"\0\1\x12\x08\x12\x84\x01" + bytes((draw(st.integers(0, 255)), 0, more)) + struct.pack(">H", error)
            )
            data = bytes((draw(CODES), 9)) + struct.pack(">H", len(body)) + body
            return struct.pack(">BBHHHH", 0x32, USERDATA, 0, 1, len(parameters), len(data)) + parameters + data
        count, parts = template[18], []
        for number in range(count):
            code = draw(CODES)
            if template[17] == WRITE:
                parts.append(bytes((code,)))
                continue
            at = 19 + 12 * number
            size = int.from_bytes(template[at + 4 : at + 6], "big") * (2 if template[at + 3] in (0x1C, 0x1D) else 1)
            size = max(0, size + draw(st.sampled_from([0, 0, 0, 0, -1, 1])))
            transport = draw(st.sampled_from([4, 4, 4, 9, 3, 0, 7]))
            raw = bytes((draw(st.integers(0, 255)),)) * size if code == 0xFF else b""
            length = size * 8 if transport in (3, 4, 5) else size
            pad = b"\0" if len(raw) % 2 and number < count - 1 else b""
            parts.append(struct.pack(">BBH", code, transport, length & 0xFFFF) + raw + pad)
        function = template[17] if draw(st.integers(0, 9)) else READ
        data = b"".join(parts)
        return struct.pack(">BBHHHHHBB", 0x32, ACK_DATA, 0, 1, 2, len(data), draw(ERRORS), function, count) + data

    @staticmethod
    def _szl(raw: bytes) -> bytes:
        return struct.pack(">HHHH", 0x1C, 0, max(1, len(raw) // 2), 2) + raw


async def converse(data: st.DataObject) -> None:
    """Every service, in any order."""
    names = data.draw(st.lists(st.sampled_from(sorted(TAGS)), min_size=1, max_size=6, unique=True))
    tags = {name: TagConfig(type=TAGS[name][0], address=TAGS[name][1]) for name in names}
    planned = data.draw(st.sampled_from([240, 480, 960]))
    config = DeviceConfig(path="a/l/d", protocol="s7", connection={"pdu": planned}, tags=tags)
    session = S7Session(Lying(data, data.draw(st.sampled_from([112, 240, 480, 960]))), pause_s=0.0)  # type: ignore[arg-type]
    points = points_of(config)
    requests = DRIVER.group(config, points, fill_gaps=data.draw(st.booleans()))
    for verb in data.draw(st.lists(st.sampled_from(["read", "write", "check", "browse", "block"]), max_size=5)):
        with contextlib.suppress(DriverError):
            if verb == "read":
                for request in requests:
                    result = await session.read(request)
                    assert len(result.values) == len(request.points)
            elif verb == "write":
                value = data.draw(st.sampled_from([1, True, "x", "2024-03-04T05:06:07Z", [1.0] * 300, None]))
                await session.write(config.path, points[0], value)
            elif verb == "check":
                await session.check()
            else:
                found = 0
                async for _ in session.browse(BrowseOptions(start="DB3" if verb == "block" else "")):
                    found += 1
                    if found > 3:
                        break
    await session.close()


@given(st.data())
def test_whatever_a_cpu_answers_is_a_value_or_a_driver_error(data: st.DataObject) -> None:
    asyncio.run(converse(data))
