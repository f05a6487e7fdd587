"""Failures of the outside world, and of our own code. A user's mistake is a `Diagnostic`, never an exception."""

from __future__ import annotations

from nexus_cli.diagnostics.diagnostic import Diagnostic


class NexusError(Exception):
    """The outside world failed: a broker, database, device or control that can't be reached or refuses.

    Attributes:
        code: A catalogue code of band 5, 6 or 7.
        hint: What the person can do about it.
        cause: The technical cause, one line, without secrets.
        retriable: True when trying again later can help.
        exit_code: The process exit code (see `cli/exit_codes.py`).
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "NX6000",
        hint: str = "",
        cause: str = "",
        retriable: bool = False,
        exit_code: int = 6,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.hint = hint
        self.cause = cause
        self.retriable = retriable
        self.exit_code = exit_code


class FindingsError(NexusError):
    """Control or another part refused an input and said why, as findings."""

    def __init__(self, message: str, findings: tuple[Diagnostic, ...], *, exit_code: int = 1) -> None:
        super().__init__(message, code=findings[0].code if findings else "NX5000", exit_code=exit_code)
        self.findings = findings
