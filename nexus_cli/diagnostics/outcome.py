"""A stage's answer: a value and what was found on the way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from nexus_cli.diagnostics.diagnostic import Diagnostic, Severity

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """A value (None when the stage could not make one) and the findings, in the order they arose."""

    value: T | None
    findings: tuple[Diagnostic, ...] = ()

    @property
    def ok(self) -> bool:
        """True when there is a value and no finding is an error."""
        return self.value is not None and not has_errors(self.findings)

    def unwrap(self) -> T:
        """The value of a stage that is known to have one."""
        if self.value is None:
            raise AssertionError("this stage made no value; look at .ok first")
        return self.value


def has_errors(findings: Iterable[Diagnostic]) -> bool:
    """True when at least one finding is an error."""
    return any(finding.severity is Severity.ERROR for finding in findings)
