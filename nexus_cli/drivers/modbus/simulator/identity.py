"""What a simulated unit says of itself (FC43/14): from the words of its site file. Pure.

Source: Modbus Application Protocol V1.1b3 §6.21 (Read Device Identification).
"""

from __future__ import annotations

from collections.abc import Mapping

from nexus_cli.model.config import DeviceConfig

VENDOR, PRODUCT_CODE, REVISION, PRODUCT = 0, 1, 2, 4
MEI = 14
BASIC, REGULAR, EXTENDED, ONE = 1, 2, 3, 4
"""ReadDevId codes: objects 0 to 2, up to 127, all, a single one."""
CONFORMITY = 0x82
"""Regular objects, as a stream or one by one."""
LAST = {BASIC: 2, REGULAR: 0x7F, EXTENDED: 0xFF}
MAX_PDU = 253
_HEAD = 7
LONGEST = MAX_PDU - _HEAD - 2
LABELS = {
    VENDOR: ("vendor", "manufacturer"),
    PRODUCT_CODE: ("product_code", "model"),
    REVISION: ("revision", "firmware", "version"),
    PRODUCT: ("product",),
}
"""Labels of a device that name an object, the first one that is there."""


def objects_of(device: DeviceConfig) -> dict[int, bytes]:
    """Texts by object id, in order: the device's labels and description, or fixed words for the three that must be."""
    otherwise = {
        VENDOR: "NEXUS simulator",
        PRODUCT_CODE: device.path.rpartition("/")[2],
        REVISION: "1.0",
        PRODUCT: device.description,
    }
    found = {}
    for number, names in LABELS.items():
        text = next((device.labels[name] for name in names if device.labels.get(name)), otherwise[number])
        if text:
            found[number] = " ".join(text.split()).encode()[:LONGEST]
    return found


def identification(objects: Mapping[int, bytes], pdu: bytes) -> bytes | int:
    """The answer to FC43/14, or the exception code: 1 another MEI type, 2 no such object, 3 no such way to read.

    Args:
        objects: Texts by object id.
        pdu: The request.
    """
    if len(pdu) < 2 or pdu[1] != MEI or not objects:
        return 1
    if len(pdu) != 4 or pdu[2] not in (*LAST, ONE):
        return 3
    code, first = pdu[2], pdu[3]
    if code == ONE:
        if first not in objects:
            return 2
        page, following = {first: objects[first]}, None
    else:
        page, following = _page({number: raw for number, raw in objects.items() if number <= LAST[code]}, first)
    head = bytes((43, MEI, code, CONFORMITY, 0xFF if following is not None else 0, following or 0, len(page)))
    return head + b"".join(bytes((number, len(raw))) + raw for number, raw in page.items())


def _page(objects: Mapping[int, bytes], first: int) -> tuple[dict[int, bytes], int | None]:
    """The objects of one answer, and the first object of the next; an unknown first object starts from the beginning."""
    room, page = MAX_PDU - _HEAD, dict[int, bytes]()
    for number, raw in objects.items():
        if first in objects and number < first:
            continue
        if len(raw) + 2 > room:
            return page, number
        room -= len(raw) + 2
        page[number] = raw
    return page, None
