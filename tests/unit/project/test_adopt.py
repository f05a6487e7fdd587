"""`nexus adopt`: what it answers is as its schema says, the counts add up, and a read-only site is left as it was."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner

from nexus_cli.cli.main import cli
from nexus_cli.diagnostics import NexusError
from nexus_cli.discover.edit import Edit
from nexus_cli.drift.adopt import Adopted
from nexus_cli.project import drift_adopt
from nexus_cli.project.adopt import access, write
from nexus_cli.project.schema import schema_files
from nexus_cli.settings import load_settings

SITE = """nexus: 1
enterprise: acme
site: s
areas:
  hall:  # the only one
    lines:
      l:
        devices:
          meter:
            protocol: modbus
            connection: {host: 10.0.0.9}
            tags: {power: {address: "input:0", type: float32, unit: kW}}
"""
ACL = "user desk\ntopic read acme/s/hall/#\ntopic write other/#\n"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    file = tmp_path / "site.yaml"
    file.write_text(SITE, encoding="utf-8")
    (tmp_path / "acl").write_text(ACL, encoding="utf-8")
    return file


def adopted(site: Path, *options: str) -> dict[str, object]:
    arguments = ["adopt", "access", str(site.parent / "acl"), "--into", str(site), "--format", "json", *options]
    answer = CliRunner().invoke(cli, arguments)
    assert answer.exit_code == 0, answer.output
    found: dict[str, object] = json.loads(answer.stdout)
    jsonschema.validate(found, json.loads(schema_files()["adoption.schema.json"]))
    return found


def test_the_answer_is_as_its_schema_says_before_with_and_after_the_edit(site: Path) -> None:
    before = adopted(site, "--dry-run")
    assert (before["counts"], before["written"]) == ({"found": 3, "adopted": 2, "present": 0, "left": 1}, False)
    written = adopted(site, "--yes")
    assert (written["counts"], written["written"]) == (before["counts"], True)
    assert "# the only one" in site.read_text(encoding="utf-8")
    again = adopted(site, "--yes")
    assert (again["counts"], again["written"]) == ({"found": 3, "adopted": 0, "present": 2, "left": 1}, False)
    assert (again["diff"], again["into"]) == ("", "")


def test_a_read_only_site_is_left_as_it_was(site: Path) -> None:
    before = site.read_bytes()
    site.chmod(0o444)
    found = access(site.parent / "acl", into=site)
    with pytest.raises(NexusError, match="read-only") as caught:
        write(found)
    assert caught.value.code == "NX6603"
    assert site.read_bytes() == before


def test_adopting_drift_writes_no_file_when_one_of_them_is_read_only(tmp_path: Path) -> None:
    paths = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    for path in paths:
        path.write_text("a: 1\n", encoding="utf-8")
    paths[1].chmod(0o444)
    made = tuple(Edit(path=path, before="a: 1\n", after="a: 2\n") for path in paths)
    wanted = drift_adopt.Adoption(edits=made, adopted=Adopted())
    with pytest.raises(NexusError, match="read-only"):
        drift_adopt.carry_out(wanted, settings=load_settings())
    assert [path.read_text(encoding="utf-8") for path in paths] == ["a: 1\n", "a: 1\n"]
