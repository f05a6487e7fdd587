"""How every deployment ends: one row per changed resource, applied, failed, skipped or unknown, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nexus_cli.database.deployments import Summary
from nexus_cli.plan.change import Action, Change
from nexus_cli.wire.configuration import Observed, Verification
from nexus_cli.wire.control import TableRow


@dataclass(slots=True, kw_only=True)
class Row:
    """The end of one changed resource.

    Attributes:
        state: `applied`, `failed`, `skipped` or `unknown`.
        verification: `verified`, `unverified`, `failed`, or "" where there is nothing to verify.
        detail: Why, when it is not simply well.
        refused: True when the deployment ended before anything was recorded.
    """

    address: str
    action: str
    gateway: str = ""
    state: str = "skipped"
    verification: str = ""
    detail: str = ""
    refused: bool = False

    def body(self) -> TableRow:
        """As the API gives it."""
        return TableRow(
            address=self.address,
            action=self.action,
            gateway=self.gateway,
            state=self.state,
            verification=self.verification,
            detail=self.detail,
        )


def rows_of(changes: Iterable[Change]) -> list[Row]:
    """One row per change, nothing done yet."""
    return [
        Row(
            address=change.address,
            action=change.action.value,
            gateway=str((change.after or change.before or {}).get("gateway") or "") if change.type == "device" else "",
        )
        for change in changes
    ]


def recorded(rows: Sequence[Row]) -> None:
    """After the record step: what no gateway runs is applied, the rest is not known yet."""
    for row in rows:
        row.state = "unknown" if row.gateway else "applied"
        row.detail = f"gateway {row.gateway} has not answered yet" if row.gateway else ""


def failed(rows: Sequence[Row], why: str) -> None:
    """The record step did not happen: nothing changed."""
    for row in rows:
        row.state, row.detail, row.refused = "failed", why, True


def answered(rows: Sequence[Row], answers: Mapping[str, Observed | None]) -> None:
    """After the gateways answered, or did not in time."""
    for row in rows:
        if not row.gateway:
            continue
        answer = answers.get(row.gateway)
        if answer is None:
            row.state = "unknown"
            row.detail = f"gateway {row.gateway} did not answer; it takes the configuration when it returns"
            continue
        seen = answer.devices.get(row.address.partition(".")[2])
        if seen is not None and seen.state == "failed" and row.action != Action.FORGET:
            row.state, row.detail = "failed", seen.detail or "the gateway could not configure it"
        else:
            row.state, row.detail = "applied", ""


def verified(
    rows: Sequence[Row],
    *,
    verifications: Mapping[str, Verification],
    wanted: Sequence[str],
    reachable_before: Sequence[str],
) -> None:
    """After the verification: GOOD seen is verified; silent before and after is a warning; silent only now has failed.

    Args:
        rows: Changed in place.
        verifications: What the gateways found, by device path.
        wanted: Device paths that should have been verified.
        reachable_before: Device paths that gave values when the deployment began.
    """
    for row in rows:
        path = row.address.partition(".")[2]
        if path not in wanted or row.state != "applied":
            continue
        found = verifications.get(path)
        if found is not None and found.good:
            row.verification = "verified"
            row.detail = f"{found.bad} of {found.good + found.bad} tags are not GOOD" if found.bad else ""
        elif found is not None and found.reachable:
            row.verification, row.detail = "unverified", _because("the device answers, but no tag is GOOD", found)
        elif found is not None and path in reachable_before:
            row.verification = "failed"
            row.detail = _because("the device gave values before and does not answer any more", found)
        elif found is not None and row.action == "create":
            row.verification, row.detail = "unverified", _because("the device is new and has not answered yet", found)
        elif found is not None:
            before = "" if row.action == Action.CREATE else ", as before"
            row.verification, row.detail = "unverified", _because(f"the device does not answer{before}", found)
        else:
            row.verification, row.detail = "unverified", "the gateway has not said yet whether values are GOOD"


def acted(rows: Sequence[Row], problems: Mapping[str, str]) -> None:
    """A sequence after the change did not end well: the devices run as planned, and the machine may not.

    Args:
        rows: Changed in place; call it again after `verified`.
        problems: Why, by device path.
    """
    for row in rows:
        kind, _, path = row.address.partition(".")
        if kind == "device" and path in problems:
            row.verification, row.detail = "failed", problems[path]


def _because(sentence: str, found: Verification) -> str:
    return f"{sentence}: {found.detail}" if found.detail else sentence


def outcome_of(rows: Sequence[Row]) -> str:
    """`applied`, `partly` or `failed`, as the deployment's row says."""
    bad = [row for row in rows if row.state != "applied" or row.verification == "failed"]
    if not bad:
        return "applied"
    return "failed" if all(row.state == "failed" and (row.refused or not row.gateway) for row in rows) else "partly"


def summary_of(rows: Sequence[Row], *, limit: int = 2000) -> Summary:
    """Counts and the table, as stored with the deployment. Long tables keep what is not simply well."""
    ranked = sorted(rows, key=lambda row: row.state == "applied" and row.verification in ("", "verified"))
    counts = {state: sum(row.state == state for row in rows) for state in ("applied", "failed", "skipped", "unknown")}
    for state in ("verified", "unverified"):
        counts[state] = sum(row.verification == state for row in rows)
    counts["verification_failed"] = sum(row.verification == "failed" for row in rows)
    return Summary(counts=counts, table=[row.body() for row in ranked[:limit]], left_out=max(0, len(rows) - limit))
