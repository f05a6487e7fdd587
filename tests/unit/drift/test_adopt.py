"""Findings become edits: comments stay, other devices of a template are left alone, and what is not certain is said."""

from __future__ import annotations

from pathlib import Path

from nexus_cli.drift.adopt import Adopted, adopt
from nexus_cli.drift.kinds import found
from nexus_cli.project.text import load, read
from nexus_cli.wire.control_drift import DriftFinding

SITE = """\
nexus: 1
enterprise: acme
site: chicago
vars: {mode: int16}
templates:
  press:
    protocol: opcua
    parameters: {host: {type: string}}
    connection: {endpoint: "opc.tcp://${param:host}:4840"}
    tags:
      force: {node: "nsu=http://acme/plc;s=force", type: float64, unit: kN, writable: true}
areas:
  a:
    lines:
      l:
        devices:
          one:      # the first one
            template: press
            with: {host: 10.0.0.5}
          two: {template: press, with: {host: 10.0.0.6}}
          three:
            protocol: opcua
            connection: {endpoint: "opc.tcp://10.0.0.7:4840"}
            tags:
              temp: {node: "nsu=http://acme/plc;s=temp", type: float64, unit: degC}   # of the oil
              mode: {node: "nsu=http://acme/plc;s=mode", type: "${var:mode}"}
"""


def adopted(folder: Path, *findings: DriftFinding, identities: dict[str, dict[str, str]] | None = None) -> Adopted:
    file = folder / "site.yaml"
    file.write_text(SITE)
    reading = read(file)
    assert reading.tree is not None
    assert reading.model is not None
    tree = reading.tree

    def file_of(place: tuple[str, ...]) -> str:
        where = tree.place(place, True)
        return where.file if where is not None else ""

    made = adopt(
        findings,
        devices=reading.model.devices,
        texts={one.name: one.text for one in reading.files},
        file_of=file_of,
        identities=identities or {},
    )
    for text in made.texts.values():
        file.write_text(text)
    return made


def moved(path: str, before: str, now: str) -> DriftFinding:
    return found("address-moved", path, "device", f"{path} moved", recorded=before, now=now, adoptable=True)


def retyped(path: str, now: str) -> DriftFinding:
    return found("type-changed", path, "device", f"{path} is {now}", now=now, adoptable=True)


def test_address_and_type_of_a_tag(tmp_path: Path) -> None:
    made = adopted(
        tmp_path,
        moved("a/l/three/temp", "nsu=http://acme/plc;s=temp", "nsu=http://acme/plc/2;s=temp"),
        retyped("a/l/three/temp", "float32"),
    )
    assert not made.left
    (text,) = made.texts.values()
    assert '"nsu=http://acme/plc/2;s=temp"' in text.replace("'", '"')
    assert "# of the oil" in text
    tag = load(tmp_path / "site.yaml").unwrap().model.devices["a/l/three"].tags["temp"]
    assert tag.address is not None
    assert (tag.address.text, tag.tag.type) == ("nsu=http://acme/plc/2;s=temp", "float32")


def test_a_tag_of_a_template_gets_its_own_entry(tmp_path: Path) -> None:
    said = found("read-only", "a/l/one/force", "device", "takes no writes", adoptable=True)
    made = adopted(tmp_path, said)
    assert not made.left
    devices = load(tmp_path / "site.yaml").unwrap().model.devices
    assert devices["a/l/one"].tags["force"].tag.model_dump()["writable"] is False
    assert devices["a/l/two"].tags["force"].tag.model_dump()["writable"] is True
    assert "# the first one" in (tmp_path / "site.yaml").read_text()


def test_what_is_not_certain_stays(tmp_path: Path) -> None:
    made = adopted(
        tmp_path,
        retyped("a/l/three/mode", "int32"),
        retyped("a/l/three/nobody", "int32"),
        moved("a/l/three/temp", "nsu=http://acme/plc;s=former", "nsu=http://acme/plc/2;s=former"),
        found("address-gone", "a/l/two/force", "device", "is gone", hint="put it back"),
        found("type-changed", "a/l/three/temp", "declared", "the files say so"),
    )
    assert not made.texts
    assert [one.code for one in made.left] == ["NX4202"] * 4
    hints = [one.hint for one in made.left]
    assert "${var:mode}" in hints[0]
    assert hints[3] == "put it back"


def test_an_identity_is_for_control(tmp_path: Path) -> None:
    said = found("identity-changed", "a/l/three", "device", "another product", adoptable=True)
    made = adopted(tmp_path, said, identities={"a/l/three": {"product": "B"}, "a/l/one": {"product": "C"}})
    assert made.identities == {"a/l/three": {"product": "B"}}
    assert not made.texts
