"""Shapes of received messages are kept, and bounded in number and bytes."""

from __future__ import annotations

import msgspec
import pytest

from nexus_cli.wire import frame_shape
from nexus_cli.wire.frame_shape import NAME_BYTES, Shape, known_shape


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_shape, "_kept", frame_shape._Kept())


def test_a_shape_that_was_read_before_is_the_same_object() -> None:
    raw = Shape("a/l/d", ["x", "y"]).encoded
    first = known_shape("a/l/d", raw)
    assert (first.device, first.tags, first.encoded) == ("a/l/d", ("x", "y"), raw)
    assert known_shape("a/l/d", raw) is first
    assert first.positions == {"x": 0, "y": 1}


def test_devices_with_the_same_tags_share_their_bytes() -> None:
    one, two = Shape("a/l/d", ["x", "y"]), Shape("a/l/e", ["x", "y"])
    assert one.encoded is two.encoded
    assert known_shape("a/l/e", one.encoded).device == "a/l/e"
    assert known_shape("a/l/e", one.encoded).tags is known_shape("a/l/d", one.encoded).tags


def test_many_shapes_and_large_ones_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_shape, "KEPT_SHAPES", 10)
    monkeypatch.setattr(frame_shape, "KEPT_BYTES", 5_000)
    for at in range(100):
        known_shape(f"d{at}", Shape("d", ["x"]).encoded)
        assert len(frame_shape._kept.shapes) <= 10
    for at in range(100):
        known_shape(f"d{at}", Shape("d", ["x" * 900]).encoded)
        held = sum(len(device) + len(tags) for device, tags in frame_shape._kept.shapes)
        assert held + NAME_BYTES == frame_shape._kept.size_bytes <= 5_000
    for at in range(100):
        known_shape("d", Shape("d", [f"{at}.{tag}" for tag in range(40)]).encoded)
        assert NAME_BYTES * 40 * len(frame_shape._kept.names) < frame_shape._kept.size_bytes <= 5_000
    large = Shape("d", ["x" * 9_000]).encoded
    assert known_shape("d", large).tags == ("x" * 9_000,), "one alone is read all the same"


def test_what_others_name_is_kept_nowhere_else() -> None:
    frame_shape._encoded.cache_clear()
    known_shape("d", msgspec.msgpack.encode(["x", "y"]))
    assert frame_shape._encoded.cache_info().currsize == 0
