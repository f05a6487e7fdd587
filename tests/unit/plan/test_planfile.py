"""Saved plans: what is written comes back, what was touched is refused."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.plan.planfile import is_planfile, read_planfile, write_planfile

DOCUMENT = {
    "format_version": "1.0",
    "site": "acme/chicago",
    "base": {"deployment": 3, "digest": "sha256:a"},
    "desired": {"digest": "sha256:b"},
}
CHANGED = {"device.a/l/one": {"path": "a/l/one", "tags": {"x": {"deadband": 1e17}}}, "device.a/l/two": None}


def saved(folder: Path) -> Path:
    path = folder / "monday.plan"
    write_planfile(path, document=DOCUMENT, changed=CHANGED, source={"path": "site.yaml", "env": None, "variables": {}})
    return path


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    path = saved(tmp_path)
    found = read_planfile(path)
    assert is_planfile(path) and path.stat().st_mode & 0o077 == 0
    assert (found.site, found.base_deployment, found.base_digest, found.desired_digest) == (
        "acme/chicago",
        3,
        "sha256:a",
        "sha256:b",
    )
    assert found.changed == CHANGED and found.document == DOCUMENT
    assert [each.name for each in tmp_path.iterdir()] == ["monday.plan"]


@pytest.mark.parametrize("cut", [0, 1, 10, 200, -1, -2])
def test_a_cut_file_is_refused(tmp_path: Path, cut: int) -> None:
    path = saved(tmp_path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(NexusError) as refused:
        read_planfile(path)
    assert (refused.value.code, refused.value.exit_code) == ("NX4003", 1)


def test_an_edited_file_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path)
    data = orjson.loads(path.read_bytes())
    data["changed"]["device.a/l/two"] = {"path": "a/l/two"}
    path.write_bytes(orjson.dumps(data))
    with pytest.raises(NexusError) as refused:
        read_planfile(path)
    assert refused.value.code == "NX4003" and "edited" in refused.value.cause


def test_another_version_is_named(tmp_path: Path) -> None:
    path = saved(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'"format_version":"1.0"', b'"format_version":"9.0"', 1))
    with pytest.raises(NexusError) as refused:
        read_planfile(path)
    assert refused.value.code == "NX4006" and "9.0" in refused.value.message


@pytest.mark.parametrize(
    "body", [b"[]", b"null", b'"x"', b'{"kind":"nexus-plan"}', b'{"kind":"nexus-plan","format_version":"1.0"}']
)
def test_what_is_no_plan_is_refused(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "x.plan"
    path.write_bytes(body)
    with pytest.raises(NexusError):
        read_planfile(path)


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(NexusError) as refused:
        write_planfile(tmp_path / "none" / "x.plan", document=DOCUMENT, changed={}, source={})
    assert refused.value.code == "NX4003"
    assert not is_planfile(tmp_path) and not is_planfile(tmp_path / "none")
    garbage = tmp_path / "bad.plan"
    garbage.write_bytes(b"\x00garbage: [")
    assert is_planfile(garbage) and not is_planfile(tmp_path / "none.plan")
    with pytest.raises(NexusError) as caught:
        read_planfile(garbage)
    assert caught.value.code == "NX4003"
