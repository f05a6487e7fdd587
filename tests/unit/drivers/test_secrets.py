"""References of a device: what they give, and that none gives NEXUS's own secrets to whoever may configure a device."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus_cli.drivers.base import DriverError
from nexus_cli.drivers.secrets import resolve

SECRET = "planted-secret"
ENVIRON = {
    "PLC_PASSWORD": SECRET,
    "NEXUS_BROKER_PASSWORD": SECRET,
    "NEXUS_CONTROL_TOKEN": SECRET,
    "nexus_lower": SECRET,
}


def test_what_a_reference_gives(tmp_path: Path) -> None:
    (tmp_path / "plc").write_text(f"{SECRET}\r\n", encoding="utf-8")
    assert resolve("${env:PLC_PASSWORD}", environ=ENVIRON) == SECRET
    assert resolve(f"a-${{file:{tmp_path / 'plc'}}}-${{env: PLC_PASSWORD }}", environ=ENVIRON) == f"a-{SECRET}-{SECRET}"
    assert resolve("plain", environ=ENVIRON) == "plain"


@pytest.mark.parametrize("name", [name for name in ENVIRON if name.lower().startswith("nexus")])
@pytest.mark.parametrize("form", ["${env:%s}", "${env: %s }", "opc.tcp://${env:%s}.example:4840"])
def test_no_variable_of_nexus_is_given_to_a_device(name: str, form: str) -> None:
    with pytest.raises(DriverError) as refused:
        resolve(form % name, environ=ENVIRON)
    assert name in refused.value.message and SECRET not in refused.value.message
    assert not refused.value.retriable


@pytest.mark.parametrize("home", [".nexus", "state"])
def test_no_file_of_nexus_is_given_to_a_device(home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / home / "certs").mkdir(parents=True)
    for name in ("credentials.json", "certs/ca.key"):
        (tmp_path / home / name).write_text(SECRET, encoding="utf-8")
    (tmp_path / "link").symlink_to(tmp_path / home / "credentials.json")
    (tmp_path / "folder").symlink_to(tmp_path / home)
    environ = {} if home == ".nexus" else {"NEXUS_HOME": str(tmp_path / home)}
    ways = [
        *(f"{home}/credentials.json", f"{tmp_path}/{home}/certs/ca.key", f"{tmp_path}/x/../{home}/credentials.json"),
        *("link", "folder/credentials.json", f" {home}/credentials.json "),
    ]
    for way in ways:
        with pytest.raises(DriverError) as refused:
            resolve(f"${{file:{way}}}", environ=environ)
        assert SECRET not in refused.value.message, way


@pytest.mark.parametrize(
    "file", ["/proc/self/environ", "/proc/1/environ", "/dev/stdin", "/proc/self/root/proc/self/environ"]
)
def test_no_environment_of_a_process_is_a_file_of_a_device(file: str) -> None:
    with pytest.raises(DriverError, match="none that is given to a device"):
        resolve(f"${{file:{file}}}")
