"""Owner, personal data and rules of quality: what is inherited, what the normal form has, and the alerts of rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nexus_cli.project.text import load

SITE = """
nexus: 1
enterprise: acme
site: plant
defaults: {quality: {flat: {for: 10m}, rate: {above: 5}}}
areas:
  a:
    owner: energy team
    pii: true
    description: Area
    lines:
      l:
        classification: restricted
        devices:
          d:
            protocol: modbus
            connection: {host: 192.0.2.1}
            tags:
              t: {address: "holding:1", type: uint16, range: [0, 10], quality: {range: alarm, rate: {above: 9, per: 2s, do: reject}}}
              u: {address: "holding:2", type: uint16, owner: maintenance, pii: false, quality: {flat: null}}
              v: {address: "coil:1", type: bool}
            calculated:
              c: {expr: "t + u", type: float64, quality: {missing: {for: 1m, do: alarm}}}
          e:
            protocol: external
            owner: lab
            tags:
              w: {type: float64, range: [0, null], quality: {range: alarm}}
"""


def resources(tmp_path: Path, text: str = SITE) -> dict[str, Any]:
    path = tmp_path / "site.yaml"
    path.write_text(text)
    loaded = load(path, use_cache=False)
    assert loaded.value is not None, loaded.findings
    return dict(loaded.value.snapshot.resources)


def test_owner_and_personal_data_are_inherited_and_may_be_taken_back(tmp_path: Path) -> None:
    found = resources(tmp_path)
    device = found["device.a/l/d"]
    tags = device["tags"]
    assert (tags["t"]["owner"], tags["t"]["pii"]) == ("energy team", True)
    assert tags["u"]["owner"] == "maintenance"
    assert "pii" not in tags["u"]
    assert tags["c"]["owner"] == "energy team"
    assert (device["owner"], device["pii"]) == ("energy team", True)
    assert found["device.a/l/e"]["tags"]["w"]["owner"] == "lab"
    assert found["site"]["places"] == {
        "a": {"description": "Area", "owner": "energy team", "pii": True},
        "a/l": {"classification": "restricted"},
    }


def test_the_nearest_rule_of_each_kind_counts(tmp_path: Path) -> None:
    tags = resources(tmp_path)["device.a/l/d"]["tags"]
    assert tags["t"]["quality"] == {
        "range": "alarm",
        "rate": "reject",
        "rate_above": 9.0,
        "rate_ms": 2000,
        "flat": "flag",
        "flat_ms": 600_000,
    }
    assert tags["u"]["quality"] == {"rate": "flag", "rate_above": 5.0, "rate_ms": 1000}


def test_rules_with_alarm_are_alerts(tmp_path: Path) -> None:
    found = resources(tmp_path)
    alerts = {address: each for address, each in found.items() if address.startswith("alert.")}
    assert sorted(alerts) == [
        "alert.quality.missing.a.l.d.c",
        "alert.quality.range.a.l.d.t",
        "alert.quality.range.a.l.e.w",
    ]
    outside = alerts["alert.quality.range.a.l.d.t"]
    assert (outside["tag"], list(outside["outside"])) == ("a/l/d/t", [0.0, 10.0])
    assert alerts["alert.quality.missing.a.l.d.c"]["no_data_for_ms"] == 60_000
    assert alerts["alert.quality.range.a.l.e.w"]["below"] == 0.0


def test_a_site_without_the_new_keys_has_no_new_fields(tmp_path: Path) -> None:
    text = "\n".join(line for line in SITE.splitlines() if not line.strip().startswith(("owner:", "pii:", "defaults:")))
    for rules in (
        ", quality: {range: alarm, rate: {above: 9, per: 2s, do: reject}}",
        ", owner: maintenance, pii: false, quality: {flat: null}",
        ", quality: {missing: {for: 1m, do: alarm}}",
        ", quality: {range: alarm}",
    ):
        text = text.replace(rules, "")
    found = resources(tmp_path, text.replace("        classification: restricted\n", ""))
    assert "places" not in found["site"]
    assert not {"owner", "pii", "quality"} & {key for tag in found["device.a/l/d"]["tags"].values() for key in tag}


def test_a_rule_with_a_priority_is_an_alarm(tmp_path: Path) -> None:
    text = SITE.replace("quality: {range: alarm}", "quality: {range: {do: alarm, priority: high}}")
    text = text.replace("missing: {for: 1m, do: alarm}", "missing: {for: 1m, do: alarm, priority: low}")
    before, found = resources(tmp_path), resources(tmp_path, text)
    alert = found["alert.quality.range.a.l.e.w"]
    assert (alert["priority"], alert["severity"]) == ("high", "critical")
    without = {key: value for key, value in alert.items() if key not in ("priority", "severity")}
    assert {**without, "severity": "warning"} == before["alert.quality.range.a.l.e.w"]
    low = found["alert.quality.missing.a.l.d.c"]
    assert (low["priority"], low["severity"]) == ("low", "info")
