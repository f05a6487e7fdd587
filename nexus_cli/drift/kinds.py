"""The kinds of drift, their severity, and what a person leaves out. Pure.

See docs/decisions/0106.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from nexus_cli.access.globs import matches_glob
from nexus_cli.wire.control_drift import SEVERITIES, DriftFinding

CRITICAL, HIGH, MEDIUM, LOW = SEVERITIES

KINDS: Mapping[str, str] = {
    "writable-changed": CRITICAL,
    "rights-changed": CRITICAL,
    "rights-behind": CRITICAL,
    "read-only": CRITICAL,
    "database-trigger": CRITICAL,
    "database-function": CRITICAL,
    "type-changed": HIGH,
    "gateway-behind": HIGH,
    "database-table": HIGH,
    "database-column": HIGH,
    "database-constraint": HIGH,
    "database-view": HIGH,
    "database-partition": HIGH,
    "database-grant": HIGH,
    "address-changed": MEDIUM,
    "address-gone": MEDIUM,
    "address-moved": MEDIUM,
    "block-short": MEDIUM,
    "read-refused": MEDIUM,
    "device-silent": MEDIUM,
    "device-failed": MEDIUM,
    "not-recorded": MEDIUM,
    "not-declared": MEDIUM,
    "settings-changed": MEDIUM,
    "database-index": MEDIUM,
    "database-policy": MEDIUM,
    "database-rollup": MEDIUM,
    "sampling-changed": LOW,
    "description-changed": LOW,
    "identity-changed": LOW,
}
"""Severity of each kind: what may write before types, types before addresses, addresses before descriptions. Of the database: what
guards the audit trail, then what loses samples or takes wrong ones, then what makes it slow or full."""
ON_WRITABLE = frozenset(
    {
        "type-changed",
        "address-changed",
        "address-gone",
        "address-moved",
        "block-short",
        "not-recorded",
        "not-declared",
    }
)
"""Kinds that are critical on a tag that may be written: a command would reach another thing, or none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """What is left out: paths, and of these one kind or all.

    Attributes:
        glob: Of paths, as in a role (`*` is a level, `**` any number).
        kind: A kind, `*` for all; `address-*` names several.
    """

    glob: str
    kind: str = "*"


def severity_of(kind: str, *, writable: bool = False) -> str:
    """Severity of a kind, on a tag that may be written or not."""
    return CRITICAL if writable and kind in ON_WRITABLE else KINDS[kind]


def ignored_of(text: str) -> Ignored:
    """Read `GLOB[:KIND]`.

    Raises:
        ValueError: There is no such kind, or no glob.
    """
    glob, colon, kind = text.partition(":")
    if not glob.strip() or (colon and not any(fnmatchcase(known, kind) for known in KINDS)):
        raise ValueError(kind if glob.strip() else text)
    return Ignored(glob=glob.strip(), kind=kind if colon else "*")


def counted(findings: Iterable[DriftFinding]) -> dict[str, int]:
    """Findings by severity; each severity is there, the worst first."""
    counts = dict.fromkeys(SEVERITIES, 0)
    for one in findings:
        counts[one.severity] += 1
    return counts


def chosen(
    findings: Iterable[DriftFinding], *, ignore: Sequence[Ignored] = (), least: str = LOW
) -> tuple[list[DriftFinding], int]:
    """The findings that count, the worst first, then by path; and how many do not."""
    every = list(findings)
    kept = [
        one
        for one in every
        if SEVERITIES.index(one.severity) <= SEVERITIES.index(least) and not any(_covers(each, one) for each in ignore)
    ]
    return sorted(kept, key=order), len(every) - len(kept)


def naming_nothing(ignore: Sequence[Ignored], known: Iterable[str]) -> list[str]:
    """Globs of what is left out that reach none of the known paths and addresses: perhaps misspelt."""
    paths = list(known)
    return [each.glob for each in ignore if not any(_reaches(each.glob, path) for path in paths)]


def order(one: DriftFinding) -> tuple[int, str, str, str]:
    """Sort key: severity, path, plane, kind."""
    return SEVERITIES.index(one.severity), one.path, one.plane, one.kind


def worst(findings: Sequence[DriftFinding]) -> str:
    """The worst severity; "" without a finding."""
    return min((one.severity for one in findings), key=SEVERITIES.index, default="")


def found(
    kind: str,
    path: str,
    plane: str,
    text: str,
    *,
    recorded: object = None,
    now: object = None,
    hint: str = "",
    writable: bool = False,
    adoptable: bool = False,
) -> DriftFinding:
    """A finding of a kind, with the kind's severity."""
    return DriftFinding(
        path=path,
        plane=plane,
        kind=kind,
        severity=severity_of(kind, writable=writable),
        recorded=recorded,
        found=now,
        text=text,
        hint=hint,
        adoptable=adoptable,
    )


def _covers(each: Ignored, one: DriftFinding) -> bool:
    return fnmatchcase(one.kind, each.kind) and _reaches(each.glob, one.path)


def _reaches(glob: str, path: str) -> bool:
    return glob == path or matches_glob(glob, path)
