"""`on_change` of lines and devices: who has which sequences, and what is found wrong."""

from __future__ import annotations

from pathlib import Path

from nexus_cli.model.resolve import snapshot_of
from nexus_cli.project.text import read

SITE = """nexus: 1
enterprise: acme
site: chicago
areas:
  a:
    lines:
      l:
        on_change: {{before: {before}, after: start}}
        devices:
          one: {{protocol: modbus, connection: {{host: 10.0.0.9}}, tags: {{t: {{address: "holding:0", type: int16, writable: true}}}}}}
          two:
            protocol: modbus
            connection: {{host: 10.0.0.8}}
            on_change: {{after: start}}
            tags: {{t: {{address: "holding:0", type: int16}}}}
          scale: {{protocol: external, tags: {{weight: {{type: float64}}}}}}
sequences:
  stop: {{steps: [{{write: a/l/one/t, value: 0}}]}}
  start: {{steps: [{{write: a/l/one/t, value: 1}}]}}
  fill:
    parameters: {{amount: {{type: integer, range: [0, 9]}}}}
    steps: [{{write: a/l/one/t, value: "${{param:amount}}"}}]
"""


def found(tmp_path: Path, before: str) -> list[tuple[str, tuple[object, ...]]]:
    file = tmp_path / "site.yaml"
    file.write_text(SITE.format(before=before))
    return [(one.code, one.where) for one in read(file).findings]


def test_devices_have_those_of_their_line_and_the_nearest_counts_whole(tmp_path: Path) -> None:
    assert found(tmp_path, "stop") == []
    model = read(tmp_path / "site.yaml").model
    assert model is not None
    resources = snapshot_of(model).resources
    assert resources["device.a/l/one"]["on_change"] == {"before": "stop", "after": "start"}
    assert resources["device.a/l/two"]["on_change"] == {"after": "start"}
    assert "on_change" not in resources["device.a/l/scale"]
    assert "on_change" not in resources["device.a/l/one"]["tags"]["t"]


def test_a_sequence_that_is_not_there_is_found_once_at_its_line(tmp_path: Path) -> None:
    where = ("areas", "a", "lines", "l", "on_change", "before")
    assert found(tmp_path, "stopp") == [("NX4151", where)]
    assert found(tmp_path, "fill") == [("NX4153", where)]
