"""What is missing in the database, as findings. Pure.

See docs/decisions/0116.
"""

from __future__ import annotations

from nexus_cli.database.gap_kinds import Gap
from nexus_cli.database.schema_gaps import Gaps
from nexus_cli.drift.kinds import found
from nexus_cli.wire.control_drift import DriftFinding, DriftUnknown

PUT_BACK = "nexus drift --revert puts it back"
GONE = "nexus db check shows what the schema has to be; what the table held only a backup has"
OWNER = "the owner of the schema grants it"


def database_drift(gaps: Gaps) -> tuple[list[DriftFinding], list[DriftUnknown]]:
    """One finding for each thing that is missing; one unknown part where the database could not be compared."""
    if gaps.unknown:
        return [], [DriftUnknown(path="database", plane="database", why=f"{gaps.unknown}: nexus db upgrade")]
    return [_finding(gap) for gap in gaps.found], []


def _finding(gap: Gap) -> DriftFinding:
    hint = PUT_BACK if gap.put_back else OWNER if gap.kind == "grant" else GONE
    return found(f"database-{gap.kind}", gap.path, "database", gap.text, recorded=gap.name or gap.table, hint=hint)
