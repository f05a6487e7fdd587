"""The class of data: the nearest one counts, from the site's defaults down to the tag, and a cached site notices it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nexus_cli.project.text import load

SITE = """\
nexus: 1
enterprise: acme
site: chicago
templates:
  scale:
    protocol: modbus
    classification: public
    connection: {host: 10.0.0.8}
    tags:
      weight: {type: bool, address: "coil:3"}
      secret: {type: bool, address: "coil:4", classification: restricted}
areas:
  hall:
    classification: confidential
    lines:
      one:
        devices:
          meter:
            protocol: modbus
            connection: {host: 10.0.0.9}
            tags:
              a: {type: bool, address: "coil:1"}
              b: {type: bool, address: "coil:2", classification: internal}
            calculated:
              c: {expr: a, type: bool}
          scale: {template: scale}
          robot: {protocol: external, topics: ["state/**"], tags: {w: {type: float64}}}
      two:
        classification: restricted
        defaults: {poll: 2s}
        devices:
          press: {protocol: external, topics: ["**"], classification: public}
          valve:
            protocol: modbus
            connection: {host: 10.0.0.10}
            tags: {a: {type: bool, address: "coil:1"}}
"""


def _classes(folder: Path, text: str, *, use_cache: bool = False) -> dict[str, str]:
    (folder / "site.yaml").write_text(text, encoding="utf-8")
    loaded = load(folder, use_cache=use_cache)
    assert loaded.value is not None, loaded.findings
    found = {}
    for path, device in loaded.value.snapshot.of_kind("device"):
        tags: dict[str, Any] = device.get("tags", {})
        found |= {f"{path}/{name}": tag.get("classification", "") for name, tag in tags.items()}
        if "globs" in device.get("connection", {}):
            found[f"{path}/**"] = device.get("classification", "")
    return found


def test_the_nearest_class_counts(tmp_path: Path) -> None:
    assert _classes(tmp_path, SITE) == {
        "hall/one/meter/a": "confidential",
        "hall/one/meter/b": "",
        "hall/one/meter/c": "confidential",
        "hall/one/scale/weight": "public",
        "hall/one/scale/secret": "restricted",
        "hall/one/robot/w": "confidential",
        "hall/one/robot/**": "confidential",
        "hall/two/press/**": "public",
        "hall/two/valve/a": "restricted",
    }


def test_the_class_of_an_area_or_line_comes_before_its_defaults(tmp_path: Path) -> None:
    text = SITE.replace("defaults: {poll: 2s}", "defaults: {classification: public}")
    assert _classes(tmp_path, text)["hall/two/valve/a"] == "restricted"
    text = text.replace("        classification: restricted\n", "")
    assert _classes(tmp_path, text)["hall/two/valve/a"] == "public"


def test_an_overlay_sets_it(tmp_path: Path) -> None:
    (tmp_path / "env").mkdir()
    overlay = "areas: {hall: {classification: public}}\naccess: {users: {anna: {hours: [sat]}}}\n"
    (tmp_path / "env" / "prod.yaml").write_text(overlay, encoding="utf-8")
    text = f"{SITE}time_zone: UTC\naccess: {{users: {{anna: {{role: viewer, hours: [sun]}}}}}}\n"
    (tmp_path / "site.yaml").write_text(text, encoding="utf-8")
    loaded = load(tmp_path, env="prod")
    assert loaded.value is not None, loaded.findings
    resources = loaded.value.snapshot.resources
    assert resources["device.hall/one/meter"]["tags"]["a"]["classification"] == "public"
    assert resources["user.anna"]["hours"] == ["sat"]


def test_a_site_in_several_files_joins_members_by_name(tmp_path: Path) -> None:
    more = "access:\n  applications: {mes: {role: viewer}}\n  groups: {shift: {role: operator}}\n"
    (tmp_path / "more.yaml").write_text(more, encoding="utf-8")
    head = "include: [more.yaml]\naccess: {applications: {erp: {role: viewer}}, users: {anna: {groups: [shift]}}}\n"
    (tmp_path / "site.yaml").write_text(SITE + head, encoding="utf-8")
    loaded = load(tmp_path)
    assert loaded.value is not None, loaded.findings
    assert {"user.mes", "user.erp", "user.anna", "group.shift", "role.viewer", "role.operator"} <= set(
        loaded.value.snapshot.resources
    )


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("    classification: confidential\n", "    classification: restricted\n"),
        ("        classification: restricted\n", ""),
        ("    classification: public\n", "    classification: internal\n"),
    ],
)
def test_a_cached_site_notices_another_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, was: str, becomes: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "site"
    folder.mkdir()
    before = _classes(folder, SITE, use_cache=True)
    assert _classes(folder, SITE, use_cache=True) == before
    changed = SITE.replace(was, becomes)
    after = _classes(folder, changed, use_cache=True)
    assert after == _classes(folder, changed) != before
