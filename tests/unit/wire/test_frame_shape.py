"""Shapes of received messages are kept, and bounded in number and bytes."""

from __future__ import annotations

import pytest

from nexus_cli.wire import frame_shape
from nexus_cli.wire.frame_shape import Shape, known_shape


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_shape, "_kept", frame_shape._Kept())


def test_a_shape_that_was_read_before_is_the_same_object() -> None:
    raw = Shape("a/l/d", ["x", "y"]).encoded
    first = known_shape(raw)
    assert (first.device, first.tags, first.encoded) == ("a/l/d", ("x", "y"), raw)
    assert known_shape(raw) is first
    assert first.positions == {"x": 0, "y": 1}


def test_many_shapes_and_large_ones_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_shape, "KEPT_SHAPES", 10)
    monkeypatch.setattr(frame_shape, "KEPT_BYTES", 5_000)
    for at in range(100):
        known_shape(Shape(f"d{at}", ["x"]).encoded)
        assert len(frame_shape._kept.shapes) <= 10
    for at in range(100):
        known_shape(Shape(f"d{at}", ["x" * 900]).encoded)
        assert sum(map(len, frame_shape._kept.shapes)) == frame_shape._kept.size_bytes <= 5_000
    large = Shape("d", ["x" * 9_000]).encoded
    assert known_shape(large).tags == ("x" * 9_000,), "one alone is read all the same"
