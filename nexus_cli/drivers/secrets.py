"""Secret references in a connection: resolved where a connection is opened, and only there."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from nexus_cli.drivers.base import DriverError, Scope
from nexus_cli.model.failure_kind import FailureKind
from nexus_cli.wire.sample import Reason

OWN = "NEXUS_"
"""Variables of NEXUS: who may configure one device could else send the gateway's own password to a server of his."""
_REFERENCE = re.compile(r"\$\{(env|file):([^}]+)\}")


def resolve(text: str, *, environ: Mapping[str, str] | None = None) -> str:
    """Replace `${env:NAME}` and `${file:PATH}`; a file's trailing line end is dropped.

    Args:
        text: Anything; returned as it is when it holds no reference.
        environ: Instead of the process environment.

    Raises:
        DriverError: A variable is not set or a file can't be read; not retriable, and without any secret in it.
    """
    variables = os.environ if environ is None else environ

    def value_of(match: re.Match[str]) -> str:
        kind, name = match[1], match[2].strip()
        if kind == "env" and name.upper().startswith(OWN):
            raise _missing(f"{name} is a variable of NEXUS itself, which is given to no device")
        if kind == "file" and _is_own(Path(name), variables):
            raise _missing(f"the file {name} is none that is given to a device")
        if kind == "env":
            if name not in variables:
                raise _missing(
                    f"the gateway has no environment variable {name}: set it, then start the gateway again",
                    kind=FailureKind.UNSET_VARIABLE,
                    subject=name,
                )
            try:
                return variables[name].encode().decode()
            except UnicodeEncodeError:  # bytes that are no UTF-8 arrive as lone surrogates
                raise _missing(f"the environment variable {name} is not UTF-8 text") from None
        try:
            return Path(name).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise _missing(f"the secret file {name} can't be read ({type(error).__name__})") from None

    return _REFERENCE.sub(value_of, text)


def _is_own(file: Path, variables: Mapping[str, str]) -> bool:
    """True for what holds NEXUS's own secrets: its folder, and what the system shows of processes (their environment)."""
    try:
        found = file.resolve()
    except (OSError, RuntimeError, ValueError):
        return False  # it can't be read either
    homes = (Path(variables.get("NEXUS_HOME") or ".nexus").resolve(), *map(Path, ("/proc", "/sys", "/dev")))
    return ".nexus" in found.parts or any(found.is_relative_to(each) for each in homes)


def _missing(message: str, *, kind: FailureKind = FailureKind.OTHER, subject: str = "") -> DriverError:
    return DriverError(
        message, scope=Scope.SESSION, retriable=False, reason=Reason.ACCESS_DENIED, kind=kind, subject=subject
    )
