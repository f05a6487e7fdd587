"""A CPU as it is now: which blocks are there, long enough and readable, and which CPU answers. Reads alone.

S7 communication has bytes and no variables: neither the type of an address nor where a variable went can be known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nexus_cli.drivers.base import Point
from nexus_cli.drivers.examined import Examined, Presence, ReadExaminer
from nexus_cli.drivers.s7 import userdata
from nexus_cli.drivers.s7.groups import Block, group
from nexus_cli.drivers.s7.pdu import OK, Item
from nexus_cli.drivers.s7.session import S7Session
from nexus_cli.drivers.s7.status import NO_OBJECT, NOT_ALLOWED, OUT_OF_RANGE, refusal
from nexus_cli.model.config import DeviceConfig

PRESENCE = {NO_OBJECT: Presence.GONE, OUT_OF_RANGE: Presence.SHORT, NOT_ALLOWED: Presence.REFUSED}
"""What a return code says of its item. Source: Snap7 s7_types.h."""
POINTS = 10
"""Addresses of one step, each an item of its own: a refused one says nothing of its neighbours."""


class S7Examiner(ReadExaminer):
    """Reads the last byte of each address: a block that ends before it is shorter than declared."""

    def __init__(self) -> None:
        """See `ReadExaminer`."""
        super().__init__(group)

    def pieces(self, device: DeviceConfig, points: Sequence[Point], /) -> Sequence[Sequence[Point]]:
        """A few addresses each."""
        return [points[first : first + POINTS] for first in range(0, len(points), POINTS)]

    async def identity(self, session: S7Session, device: DeviceConfig, /) -> Mapping[str, str]:
        """Order number, firmware and level of protection; nothing of a CPU that reports no state, which may not survive
        the question. Raises DriverError."""
        if not session.watch.code:
            return {}
        found = userdata.order_code_of(await _szl(session, userdata.ORDER_CODE))
        return found | userdata.protection_of(await _szl(session, userdata.PROTECTION))

    async def examine(self, session: S7Session, device: DeviceConfig, points: Sequence[Point], /) -> Sequence[Examined]:
        """See `Examiner.examine`."""
        places: list[tuple[Point, Item]] = []
        for point in points:
            (request,) = group(device, [point])
            block: Block = request.detail
            places += [(point, _last(item)) for item in block.items]
        found: dict[str, Examined] = {}
        answers = await session.fetch([item for _, item in places])
        for (point, item), (code, _) in zip(places, answers, strict=True):
            if code != OK:
                presence = PRESENCE.get(code, Presence.UNKNOWN)
                found.setdefault(
                    point.name, Examined(name=point.name, presence=presence, problem=refusal(code, item), code=code)
                )
        return [found.get(point.name, Examined(name=point.name, presence=Presence.THERE)) for point in points]


def _last(item: Item) -> Item:
    """The last byte of an item, which is there only when all of it is; of timers and counters the whole."""
    if item.area in ("T", "C") or item.size <= 1:
        return item
    return Item(item.area, item.db, item.start + item.size - 1, 1)


async def _szl(session: S7Session, place: tuple[int, int]) -> bytes:
    answer = await session.inform(userdata.STATUS, userdata.READ_SZL, userdata.ask_szl(*place))
    return b"" if answer.error else answer.data


EXAMINER = S7Examiner()
