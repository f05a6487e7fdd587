"""JSON and MessagePack: the same messages in both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from nexus_cli.wire.web_socket import JSON_PROTOCOL, MSGPACK_PROTOCOL, AskedAny

_json = msgspec.json.Encoder()
_msgpack = msgspec.msgpack.Encoder()


class Codec:
    """One of the two.

    Attributes:
        name: The subprotocol.
        binary: Whether its messages are binary frames.
        encode: One message, or a part of one, as bytes.
        decode: What a client asks for; raises msgspec.MsgspecError, UnicodeDecodeError or RecursionError.
        number: Its place in lists by codec.
    """

    def __init__(self, name: str, *, binary: bool, number: int) -> None:
        """Choose one."""
        self.name, self.binary, self.number = name, binary, number
        self.encode: Callable[[Any], bytes] = (_msgpack if binary else _json).encode
        made = msgspec.msgpack.Decoder if binary else msgspec.json.Decoder
        self.decode: Callable[[bytes], AskedAny] = made(AskedAny).decode

    def values(self, id_: int, turn: int, rows: Sequence[bytes]) -> bytes:
        """The message `values` from rows that are encoded already."""
        if not self.binary:
            return b'{"op":"values","id":%d,"turn":%d,"values":[%b]}' % (id_, turn, b",".join(rows))
        encode = self.encode
        head = (b"\x84", encode("op"), encode("values"), encode("id"), encode(id_), encode("turn"), encode(turn))
        return b"".join((*head, encode("values"), _array(len(rows)), *rows))


def _array(count: int) -> bytes:
    """The head of a MessagePack array. Source: MessagePack specification, array format family."""
    if count < 16:
        return bytes((0x90 | count,))
    return b"\xdc" + count.to_bytes(2, "big") if count < 65536 else b"\xdd" + count.to_bytes(4, "big")


JSON = Codec(JSON_PROTOCOL, binary=False, number=0)
MSGPACK = Codec(MSGPACK_PROTOCOL, binary=True, number=1)
_BY_NAME = {each.name: each for each in (JSON, MSGPACK)}


def chosen(offered: Sequence[str]) -> tuple[Codec, str | None]:
    """The codec of the first subprotocol that is known, and what to answer; JSON for a client that names neither."""
    for name in offered:
        if name in _BY_NAME:
            return _BY_NAME[name], name
    return JSON, None
