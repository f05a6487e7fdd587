"""How a tag is published, in the words of `nexus explain`."""

from __future__ import annotations

from typing import Any

import pytest

from nexus_cli.model.config import TagConfig
from nexus_cli.project.explain import live_text


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, ""),
        ({"live_publish": False, "live_qos": 0}, "not published on its topic"),
        ({"live_qos": 0}, "not acknowledged (QoS 0)"),
        (
            {"live_qos": 0, "live_retain": False, "live_every_ms": 120_000},
            "not acknowledged (QoS 0), not retained, at most every 2m, the newest wins",
        ),
    ],
)
def test_how_a_tag_is_published(fields: dict[str, Any], text: str) -> None:
    assert live_text(TagConfig(type="float64", **fields)) == text
