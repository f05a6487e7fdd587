"""A request to browse is read as far as it can be."""

from __future__ import annotations

import msgspec
import pytest

from nexus_cli.wire.browse import BrowseRequest, decode_page, decode_request


def test_a_field_of_another_type_counts_as_not_given() -> None:
    payload = b'{"id": 5, "depth": {"a": 1}, "read": null, "nodes": 5, "device": "a/l/d", "expires_at": "soon", "x": 1}'
    assert decode_request(payload) == BrowseRequest(id="5", device="a/l/d")


@pytest.mark.parametrize("payload", [b"", b"5", b"{}", b"[]", b"\xff", b"[" * 100_000, b'{"device": "a/l/d"}'])
def test_what_is_no_request_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        decode_request(payload)


def test_a_request_names_only_what_is_asked_for() -> None:
    request = BrowseRequest(id="1", device="a/l/d", depth=2)
    assert msgspec.json.encode(request) == b'{"id":"1","device":"a/l/d","depth":2}'
    assert decode_request(msgspec.json.encode(request)) == request


def test_a_page_of_a_gateway_is_read() -> None:
    payload = b'{"id": "1", "page": 1, "items": [[["a"], "i=1", "int32", "", "", false, {}]], "done": true, "later": 1}'
    page = decode_page(payload)
    assert (page.page, page.done, page.items[0][1], bool(page.error)) == (1, True, "i=1", False)


@pytest.mark.parametrize("payload", [b"", b"[]", b'{"id": "1"}', b"[" * 100_000])
def test_what_is_no_page_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        decode_page(payload)
