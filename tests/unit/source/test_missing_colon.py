"""A missing colon inside `{…}` gives a key without a value: it is reported, like any unknown key."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus_cli.project.text import read

SITE = """nexus: 1
enterprise: acme
site: p
{defaults}
templates:
  t: {{protocol: modbus, connection: {{host: h}}, tags: {{v: {{address: "input:0", type: uint16}}}}}}
areas:
  a:
    lines:
      l:
        devices:
          d: {device}
"""
TAG = '{address: "input:0", type: uint16}'


@pytest.mark.parametrize(
    ("device", "defaults", "told"),
    [
        (
            f"{{protocol: modbus, connection: {{host: h, port 15020}}, tags: {{v: {TAG}}}}}", "",
            ("NX1001", "unknown key 'port 15020'", "is a colon missing? `port: 15020`"),
        ),
        (
            f"{{protocol: modbus, connection: {{host 10.0.0.1}}, tags: {{v: {TAG}}}}}", "",
            ("NX1001", "unknown key 'host 10.0.0.1'", "is a colon missing? `host: 10.0.0.1`"),
        ),
        (
            f"{{protocol: modbus, connection: {{host: h}}, pol, tags: {{v: {TAG}}}}}", "",
            ("NX1001", "unknown key 'pol'", "did you mean 'poll'?"),
        ),
        (
            '{protocol: modbus, connection: {host: h}, tags: {v: {address: "input:0", type: uint16, poll 10s}}}', "",
            ("NX1001", "unknown key 'poll 10s'", "is a colon missing? `poll: 10s`"),
        ),
        (
            '{protocol: modbus, connection: {host: h}, tags: {v: {address: "input:0", type uint16}}}', "",
            ("NX1001", "unknown key 'type uint16'", "is a colon missing? `type: uint16`"),
        ),
        (
            "{template: t, tags: {v: {pol 10s}}}", "",
            ("NX1001", "unknown key 'pol 10s'", "is a colon missing? `poll: 10s`"),
        ),
        (
            "{template: t}", "defaults: {connection: {port 15020}}",
            ("NX1001", "unknown key 'port 15020'", "is a colon missing? `port: 15020`"),
        ),
        (
            "{template: t}", "defaults: {poll 10s}",
            ("NX1001", "unknown key 'poll 10s'", "is a colon missing? `poll: 10s`"),
        ),
        (
            "{template: t}", "defaults: {pol: 10s}",
            ("NX1001", "unknown key 'pol'", "did you mean 'poll'?"),
        ),
        (
            "{template: t, labels: {cell 4}}", "",
            ("NX1003", "'cell 4' must be text, not nothing", "is a colon missing? `cell: 4`"),
        ),
        (
            f"{{protocol: modbus, connection: {{host: h}}, tags: {{v: {TAG}, w: }}}}", "",
            ("NX1011", "'w' is empty", "write 'key: value' lines below it, or {}"),
        ),
        (
            "{template: t, tags: {w: null}}", "",
            ("NX1011", "'w' is empty", "write 'key: value' lines below it, or {}"),
        ),
        (
            "{protocol: external, topcs, tags: {v: {type: float64}}}", "",
            ("NX1001", "unknown key 'topcs'", "did you mean 'topics'?"),
        ),
    ],
)  # fmt: skip
def test_a_key_without_a_value(tmp_path: Path, device: str, defaults: str, told: tuple[str, str, str]) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(SITE.format(device=device, defaults=defaults), encoding="utf-8")
    errors = [item for item in read(path).findings if item.severity == "error"]
    assert [(item.code, item.message, item.hint) for item in errors] == [told]
