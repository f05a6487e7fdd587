"""`nexus explain PATH` says where a sample is in the record on the wire."""

from __future__ import annotations

from pathlib import Path

import pytest

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
