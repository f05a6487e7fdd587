"""A value that the device's own coding leaves out is refused where it is judged, before anything is sent."""

from __future__ import annotations

import pytest

from nexus_cli.model.config import TagConfig
from nexus_cli.model.inversion import InversionError, raw_of


@pytest.mark.parametrize(
    ("options", "value", "raw"),
    [
        ({"encoding": "bcd"}, 9999, 9999),
        ({"encoding": "bcd"}, 10000, None),
        ({"none": [65535]}, 65534, 65534),
        ({"none": [65535]}, 65535, None),
    ],
)
def test_what_a_register_can_say(options: dict[str, object], value: int, raw: int | None) -> None:
    tag = TagConfig(type="uint16", published_type="uint16", address="holding:1", options=options)
    if raw is None:
        with pytest.raises(InversionError) as refused:
            raw_of(tag, value)
        assert refused.value.code in ("NX6806", "NX6807")
    else:
        assert raw_of(tag, value) == raw
