"""What is left out of the model for its errors is still known by name: nothing that refers to it is called wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus_cli.project.text import read

SITE = """\
nexus: 1
enterprise: acme
site: plant
retention: {fast: {keep: 90d}}
areas:
  hall:
    lines:
      line-1:
        devices:
          meter:
            protocol: modbus
            connection: {host: 10.0.0.9}
            tags:
              speed: {address: holding:0, type: float32, retention: fast, writable: true}
gateways: {gw: {select: ["link:tcp:10.0.0.9:502"]}}
access:
  roles: {desk: {read: ["**"], write: ["hall/line-1/meter/speed"], run: [warm-up], publish: [order], alerts: [hot]}}
  users: {anna: {role: desk}}
messages: {order: {topic: "orders/new", schema: {type: object}}}
sequences: {warm-up: {steps: [{write: hall/line-1/meter/speed, value: 1}, {publish: order}]}}
alerts: {hot: {tag: hall/line-1/meter/speed, above: 90, for: 30s}}
"""


def codes(text: str, folder: Path) -> list[str]:
    (folder / "site.yaml").write_text(text, encoding="utf-8")
    return [f"{item.code}" for item in read(folder / "site.yaml").findings]


def test_the_site_is_sound(tmp_path: Path) -> None:
    assert codes(SITE, tmp_path) == []


@pytest.mark.parametrize(
    ("sound", "broken", "code"),
    [
        ("keep: 90d", "keep: 90", "NX1005"),
        ('read: ["**"]', "read: all", "NX1003"),
        ("{role: desk}", "{role: desk, pasword: x}", "NX1001"),
        ("{role: desk}", "{role: desk, password: x}", "NX2613"),
        ("{role: desk}", "{role: desk, hours: [always]}", "NX1018"),
        ("{type: object}", "object", "NX1011"),
        ("{steps:", "{timeout: 5, steps:", "NX1005"),
        ("for: 30s", "for: 30", "NX1005"),
        ("type: float32", "type: flaot32", "NX1006"),
        ('["link:tcp:10.0.0.9:502"]', "all", "NX1003"),
        ("host: 10.0.0.9", "hots: 10.0.0.9", "NX1001"),
    ],
)
def test_one_mistake_is_one_finding(sound: str, broken: str, code: str, tmp_path: Path) -> None:
    assert SITE.count(sound) == 1
    found = set(codes(SITE.replace(sound, broken), tmp_path)) - {"NX1002"}
    assert found == {code}
