"""Two clients agree by the bytes that the device gave; what a library makes of them is not the device's."""

from __future__ import annotations

from typing import Any

import pytest

from nexus_cli.drivers.base import Opinion
from nexus_cli.project.address_read import Answer, Direct


def _answer(client: str, data: bytes, value: Any) -> Answer:
    quality = "GOOD" if value is not None else "BAD"
    return Answer(opinion=Opinion(client=client, asked="it", data=data), value=value, quality=quality)


@pytest.mark.parametrize(
    ("ours", "theirs", "agree"),
    [
        ((b"\x99\x99", 9999), (b"\x99\x99", 39321), True),  # BCD
        ((b"\xff\xff", None), (b"\xff\xff", 65535), True),  # none: 65535
        ((b"\0\1", 1), (b"\0\2", 2), False),
        ((b"\0\1", 1), (b"", None), False),
    ],
)
def test_agreement(ours: tuple[bytes, Any], theirs: tuple[bytes, Any], agree: bool) -> None:
    answers = (_answer("nexus", *ours), _answer("library", *theirs))
    found = Direct(path="a/l/d/t", address="x", type="uint16", unit="", live=None, without="", answers=answers)
    assert found.agree is agree
