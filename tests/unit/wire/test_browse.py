"""A request to browse is read as far as it can be."""

from __future__ import annotations

import pytest

from nexus_cli.wire.browse import BrowseRequest, decode_request


def test_a_field_of_another_type_counts_as_not_given() -> None:
    payload = b'{"id": 5, "depth": {"a": 1}, "read": null, "nodes": 5, "device": "a/l/d", "expires_at": "soon", "x": 1}'
    assert decode_request(payload) == BrowseRequest(id="5", device="a/l/d")


@pytest.mark.parametrize("payload", [b"", b"5", b"{}", b"[]", b"\xff", b"[" * 100_000, b'{"device": "a/l/d"}'])
def test_what_is_no_request_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        decode_request(payload)
