"""The one boundary: what a command says when something it did not foresee fails."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.cli.failure import MACHINE, report
from nexus_cli.cli.main import main
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.local.service_state import ServiceState
from nexus_cli.project.init import init


@pytest.mark.parametrize("number", MACHINE)
def test_a_disk_that_refuses_is_no_bug(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    code = report(OSError(number, os.strerror(number), "/plant/.nexus"))
    told = capsys.readouterr().err
    assert code == 6
    assert told.splitlines()[0] == "error[NX6000]: '/plant/.nexus' can't be used."
    assert os.strerror(number) in told and MACHINE[number] in told


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_the_option_home_is_named_for_the_home_folder_alone(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEXUS_HOME", str(tmp_path / ".nexus"))
    (tmp_path / ".nexus").mkdir()
    assert report(OSError(number, os.strerror(number), str(tmp_path / ".nexus/run"))) == 6
    assert f"  = hint: {MACHINE[number]} (--home DIR)\n" in capsys.readouterr().err
    assert report(OSError(number, os.strerror(number), str(tmp_path / "schemas"))) == 6
    assert f"  = hint: {MACHINE[number]}\n" in capsys.readouterr().err


@pytest.fixture
def no_rights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a `.nexus` that this user has no rights on; simulated, since root has all of them."""
    (tmp_path / ".nexus").mkdir()
    (tmp_path / ".nexus/runtime.json").write_text("{}", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("NEXUS_") and name != "NEXUS_LOCKS"]:
        monkeypatch.delenv(name)

    def refusing(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *given: Any, **named: Any) -> Any:
            if isinstance(path, (str, os.PathLike)) and f".nexus{os.sep}" in os.fspath(path):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
            return real(path, *given, **named)

        return call

    for module, name in ((os, "stat"), (io, "open")):
        monkeypatch.setattr(module, name, refusing(getattr(module, name)))
    return tmp_path


@pytest.mark.usefixtures("no_rights")
@pytest.mark.parametrize(
    "command", ["status", "tail", "read a/l/d/t", "history a/l/d/t", "plan", "apply", "logs", "down", "show", "audit"]
)
def test_a_home_folder_without_rights_has_one_answer(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["nexus", *command.split()])
    with pytest.raises(SystemExit) as ended:
        main()
    assert capsys.readouterr().err == (
        "error[NX6001]: The file .nexus/runtime.json can't be read.\n"
        "  = cause: Permission denied\n"
        "  = hint: only the user who ran `nexus up` may read it: be that user, or set NEXUS_* (docs/cli.md)\n"
    )
    assert ended.value.code == 6


def test_a_folder_that_a_site_can_not_be_written_to_has_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(tmp_path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(NexusError) as failed:
        init(tmp_path / "site")
    assert report(failed.value) == 1
    assert "  = hint: name a folder that you may write to: nexus init DIR\n" in capsys.readouterr().err


def test_anything_else_is_our_bug_and_is_kept_for_a_report(capsys: pytest.CaptureFixture[str]) -> None:
    for error in (KeyError("x"), OSError(errno.EBADF, "bad descriptor")):
        assert report(error) == 70
        assert "error[NX9000]: this is a bug in nexus" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seen", "hint"),
    [
        (ServiceState(state="starting"), "control is starting: try again in a few seconds; `nexus status` shows it"),
        (
            ServiceState(state="waiting", detail="waits for the database"),
            "control is starting (waits for the database): ",
        ),
        (ServiceState(state="backoff", detail="exit code 1"), "control ended and is started again (exit code 1): "),
        (ServiceState(state="running"), "is the runtime up?"),
        (None, "is the runtime up?"),
    ],
)
def test_a_control_that_starts_is_said_to_start(
    seen: ServiceState | None,
    hint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("NEXUS_HOME", str(tmp_path))
    monkeypatch.delenv("NEXUS_CONTROL_URL", raising=False)
    monkeypatch.setattr("nexus_cli.project.control_start.read_state", lambda _: {"control": seen} if seen else {})
    error = NexusError("Control at http://x does not answer.", code="NX6400", hint="is the runtime up?")
    assert report(error) == 6
    assert f"  = hint: {hint}" in capsys.readouterr().err
    monkeypatch.setenv("NEXUS_CONTROL_URL", "http://elsewhere")
    report(error)
    assert "= hint: is the runtime up?" in capsys.readouterr().err


def test_the_outside_world_has_cause_and_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(NexusError("It is gone.", code="NX6010", cause="refused", hint="start it")) == 6
    assert capsys.readouterr().err == "error[NX6010]: It is gone.\n  = cause: refused\n  = hint: start it\n"
