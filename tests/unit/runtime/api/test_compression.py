"""gzip for who asks for it."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from nexus_cli.runtime.api.compression import Compression, compressed, expanded, wants_gzip


async def _nothing() -> Message:
    return {"type": "http.request"}


async def answered(
    parts: list[bytes],
    *,
    path: str = "/a/b",
    accept: str = "gzip",
    status: int = 200,
    kind: bytes = b"application/json",
) -> tuple[dict[bytes, bytes], bytes, list[Any]]:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", kind), (b"content-length", str(sum(map(len, parts))).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for number, part in enumerate(parts):
            await send({"type": "http.response.body", "body": part, "more_body": number < len(parts) - 1})

    sent: list[Any] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "path": path, "headers": [(b"accept-encoding", accept.encode())]}
    await Compression(app, below=("/a/",))(scope, _nothing, send)
    return dict(sent[0]["headers"]), b"".join(each["body"] for each in sent[1:]), sent


@pytest.mark.parametrize("size", [0, 10, 20_000, 200_000])
async def test_a_body_comes_out_as_it_went_in(size: int) -> None:
    body = b"ab" * (size // 2)
    headers, packed, sent = await answered([body[: size // 3], body[size // 3 :]])
    assert headers[b"content-encoding"] == b"gzip"
    assert headers[b"content-length"] == str(len(packed)).encode()
    assert headers[b"vary"] == b"Accept-Encoding"
    assert gzip.decompress(packed) == body
    assert len(sent) == 2


async def test_what_was_not_asked_for_passes() -> None:
    for keys in ({"path": "/b"}, {"accept": "br"}, {"kind": b"text/event-stream; charset=utf-8"}, {"status": 204}):
        headers, body, sent = await answered([b"x", b"y"], **keys)  # type: ignore[arg-type]
        assert b"content-encoding" not in headers
        assert (body, len(sent)) == (b"xy", 3)


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("gzip", True),
        ("GZIP, br", True),
        ("br;q=1.0, gzip;q=0.8", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("identity", False),
        ("", False),
        ("gzippy", False),
    ],
)
def test_the_header_is_read_as_the_rfc_has_it(accept: str, wanted: bool) -> None:
    assert wants_gzip({"headers": [(b"accept-encoding", accept.encode())]}) is wanted


def test_compressed_and_expanded_are_inverses() -> None:
    assert expanded(compressed(b"abc" * 1000)) == b"abc" * 1000
    assert compressed(b"abc") == compressed(b"abc")
