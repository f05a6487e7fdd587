"""Documents of which a part can't be read."""

from __future__ import annotations

import msgspec
import pytest

from nexus_cli.json_value import read_fields


class Part(msgspec.Struct):
    name: str
    size: int = 0


class Document(msgspec.Struct):
    title: str = ""
    parts: list[Part] = []
    by_name: dict[str, Part] = {}
    one: Part | None = None


class Named(msgspec.Struct):
    name: str
    size: int = 0


GOOD = {"name": "a", "size": 1}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"title": "x", "parts": [GOOD]}, Document(title="x", parts=[Part("a", 1)])),
        ({"title": 5, "parts": [GOOD]}, Document(parts=[Part("a", 1)])),
        ({"parts": [GOOD, 5, {"size": 1}, {"name": 7}]}, Document(parts=[Part("a", 1)])),
        ({"by_name": {"a": GOOD, "b": {"name": "b", "size": 1.5}}}, Document(by_name={"a": Part("a", 1)})),
        ({"one": {"name": 5}, "title": "x", "moon": 1}, Document(title="x")),
        ({"parts": 5, "by_name": []}, Document()),
        ([], Document()),
        (None, Document()),
        ("text", Document()),
    ],
)
def test_what_fits_is_read(document: object, expected: Document) -> None:
    assert read_fields(document, Document) == expected


def test_a_field_without_a_default_must_fit() -> None:
    assert read_fields({"name": "a", "size": "x"}, Named) == Named("a")
    for document in ({"size": 1}, {"name": 5}, 7):
        with pytest.raises(msgspec.ValidationError):
            read_fields(document, Named)
