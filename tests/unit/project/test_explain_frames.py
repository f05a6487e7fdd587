"""`nexus explain PATH`: where a sample is in the record on the wire, and how a tag is published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nexus_cli.explain.chain import live_text
from nexus_cli.model.config import TagConfig
from nexus_cli.project.explain import explain_path

SITE = """
nexus: 1
enterprise: acme
site: chicago
areas: {{a: {{lines: {{l: {{devices: {{d: {{protocol: modbus, connection: {{host: 10.0.0.9}}, tags: {{t: {{address: "input:0", type: float32}}}}}}}}}}}}}}}}
gateways: {{gw: {{select: ["protocol:modbus"]{frames}}}}}
"""


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ("", "_nexus/acme/chicago/data/gw (a column of a/l/d)"),
        (", frames: columns", "_nexus/acme/chicago/data/gw (a column of a/l/d)"),
        (", frames: json", "_nexus/acme/chicago/data/gw/a/l/d (samples.t)"),
    ],
)
def test_where_the_frame_is(tmp_path: Path, frames: str, expected: str) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(SITE.format(frames=frames))
    found = explain_path("a/l/d/t", site=site).value
    assert found is not None
    assert dict(found.steps)["frame"] == expected


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, ""),
        ({"live_publish": False, "live_qos": 1}, "not published on its topic"),
        ({"live_qos": 1}, "acknowledged (QoS 1)"),
        (
            {"live_qos": 1, "live_retain": False, "live_every_ms": 120_000},
            "acknowledged (QoS 1), not retained, at most every 2m, the newest wins",
        ),
    ],
)
def test_how_a_tag_is_published(fields: dict[str, Any], text: str) -> None:
    assert live_text(TagConfig(type="float64", **fields)) == text
