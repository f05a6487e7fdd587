"""Rows and messages of both codecs, encoded once and put together by hand."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from nexus_cli.runtime.web.caller_rights import CallerRights
from nexus_cli.runtime.web.live_cache import LiveCache
from nexus_cli.runtime.web.site_view import SiteView
from nexus_cli.runtime.web.socket import value_watch
from nexus_cli.runtime.web.socket.codec import JSON, MSGPACK, Codec, chosen
from nexus_cli.runtime.web.socket.encoded_values import EncodedValues
from nexus_cli.runtime.web.socket.selections import Selections
from nexus_cli.runtime.web.socket.value_watch import ValueWatch
from nexus_cli.wire.message import Message
from nexus_cli.wire.topic import Topics
from nexus_cli.wire.web_socket import Watch

TOPICS = Topics("acme", "chicago")
COUNTS = (0, 1, 15, 16, 70_000)


def decode(codec: Codec, data: bytes) -> Any:
    return msgspec.msgpack.decode(data) if codec.binary else msgspec.json.decode(data)


@pytest.mark.parametrize("codec", [JSON, MSGPACK], ids=lambda codec: codec.name)
@pytest.mark.parametrize("count", COUNTS)
def test_a_message_put_together_is_the_message_encoded(codec: Codec, count: int) -> None:
    row = ("a/l/d/t", 1.5, "GOOD", 7, "", "")
    said = codec.values(2**40, 3, [codec.encode(row)] * count)
    assert decode(codec, said) == {"op": "values", "id": 2**40, "turn": 3, "values": [list(row)] * count}


def test_the_first_known_subprotocol_is_taken() -> None:
    assert chosen(["graphql-ws", "nexus.v1.msgpack", "nexus.v1.json"]) == (MSGPACK, "nexus.v1.msgpack")
    assert chosen(["nexus.v1.json"]) == (JSON, "nexus.v1.json")
    assert chosen(["other"]) == (JSON, None)


def said(cache: LiveCache, slot: int, payload: bytes) -> None:
    cache.take(Message(cache.topic(slot), payload, 0, False))


@pytest.mark.parametrize("codec", [JSON, MSGPACK], ids=lambda codec: codec.name)
def test_a_row_is_encoded_once_and_again_after_a_message(codec: Codec) -> None:
    cache = LiveCache(now_us=lambda: 1)
    rows = EncodedValues(cache, codec, prefix="acme/chicago/")
    slot = cache.slot(TOPICS.tag("a/l/d/t"))
    assert decode(codec, rows.of([slot])[0]) == ["a/l/d/t", None, "BAD", None, "no_value", ""]
    said(cache, slot, b'{"value":2,"timestamp":1767225600000,"quality":"GOOD","label":"on"}')
    first = rows.of([slot])[0]
    assert decode(codec, first) == ["a/l/d/t", 2, "GOOD", 1_767_225_600_000_000, "", "on"]
    assert rows.of([slot])[0] is first
    said(cache, slot, b"[" * 500 + b"123456789012345678901234567890" + b"]" * 500)
    assert decode(codec, rows.of([slot])[0])[0] == "a/l/d/t"


def test_what_a_codec_can_not_say_is_bad() -> None:
    cache = LiveCache(now_us=lambda: 1)
    slot = cache.slot(TOPICS.tag("a/l/d/t"))
    said(cache, slot, b'{"value":[123456789012345678901234567890],"timestamp":1767225600000,"quality":"GOOD"}')
    row = msgspec.msgpack.decode(EncodedValues(cache, MSGPACK, prefix="acme/chicago/").of([slot])[0])
    assert row == ["a/l/d/t", None, "BAD", 1_767_225_600_000_000, "decode_error", ""]


async def test_a_round_of_many_values_is_several_messages_and_only_the_last_moves_the_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(value_watch, "MOST_ROWS", 4)
    cache = LiveCache(now_us=lambda: 1)
    tags = {f"t{number}": {"type": "float32"} for number in range(10)}
    view = SiteView.of(TOPICS, 1, {"device.a/l/d": {"protocol": "modbus", "tags": tags}}, cache)
    rights = CallerRights(readable=np.ones(10, np.bool_), writable=np.ones(10, np.bool_))
    rows = EncodedValues(cache, JSON, prefix="acme/chicago/")
    asked = Watch(id=1, paths=["a/**"], every_ms=500)
    watch = ValueWatch(asked, cache=cache, codec=JSON, encoded=rows, selections=Selections())
    for tag in view.tags:
        said(cache, tag.slot, b"1")
    await watch.start(view, rights, turn=3)
    sizes, turns = [], []
    while (message := watch.take(100.0)) is not None:
        found = msgspec.json.decode(message)
        sizes.append(len(found["values"]))
        turns.append(found["turn"])
        said(cache, view.tags[0].slot, b"2")  # moves on meanwhile: in the next round
        if watch.due_s == 100.5:
            break
    assert (sizes, turns) == ([4, 3], [3, 10])
    again = msgspec.json.decode(watch.take(100.5) or b"")
    assert [row[:2] for row in again["values"]] == [["a/l/d/t0", 2]]
    monkeypatch.setattr(value_watch, "LARGEST", 1)
    for tag in view.tags[:2]:
        said(cache, tag.slot, b"3")
    assert len(msgspec.json.decode(watch.take(101.0) or b"")["values"]) == 1
