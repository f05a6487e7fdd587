"""Failures outside of NEXUS, and its own bugs. A user's mistake is a `Diagnostic`, never an exception."""

from __future__ import annotations

from nexus_cli.diagnostics.codes import catalogue
from nexus_cli.diagnostics.diagnostic import Diagnostic
from nexus_cli.exit_codes import Exit


class NexusError(Exception):
    """A failure outside of this process: a broker, database, device or control can't be reached, or refuses.

    Attributes:
        code: A catalogue code of band 5, 6 or 7.
        hint: What the person can do about it; the catalogue's, where the call has none.
        cause: The technical cause, one line, without secrets.
        retriable: True when trying again later can help.
        exit_code: What the process ends with: the catalogue's, unless the call says otherwise.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "NX6000",
        hint: str = "",
        cause: str = "",
        retriable: bool = False,
        exit_code: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        known = catalogue().get(code)
        self.hint = hint or (known.hint if known else "")
        self.cause = cause
        self.retriable = retriable
        self.exit_code = exit_code if exit_code is not None else int(known.exit_code if known else Exit.OUTSIDE)


class FindingsError(NexusError):
    """Control or another part refused an input and said why, as findings."""

    def __init__(self, message: str, findings: tuple[Diagnostic, ...], *, exit_code: int = 1) -> None:
        super().__init__(message, code=findings[0].code if findings else "NX5000", exit_code=exit_code)
        self.findings = findings
