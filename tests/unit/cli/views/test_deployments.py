"""What is said of a deployment that has to be confirmed."""

from __future__ import annotations

import pytest

from nexus_cli.cli.views.deployments import confirmation_text
from nexus_cli.wire.confirmation import Confirmation

WAITING = Confirmation(number=2, state="waiting", within_s=600, left_s=300.0)
KEPT = Confirmation(number=2, state="waiting", within_s=600, left_s=0.0, problem="Sequence 'watch' runs.")
TAKEN = Confirmation(
    number=2,
    state="rolled-back",
    within_s=600,
    left_s=0.0,
    undone_by=3,
    reason="deployment 2 was not confirmed within 10m",
)


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (WAITING, "waits to be confirmed, 5 min left: nexus confirm 2, or nexus rollback 2"),
        (
            KEPT,
            "was not confirmed in time; control could not take it back yet: Sequence 'watch' runs. It tries again; "
            "nexus confirm 2, or nexus rollback 2",
        ),
        (TAKEN, "rolled back by deployment 3: deployment 2 was not confirmed within 10m"),
        (Confirmation(number=2, state="confirmed", within_s=600, left_s=5.0, who="ann"), "confirmed by ann"),
        (
            Confirmation(number=2, state="armed", within_s=600, left_s=600.0),
            "has to be confirmed within 10m of its end",
        ),
        (
            Confirmation(number=2, state="dropped", within_s=600, left_s=600.0),
            "recorded nothing, so there was nothing to confirm",
        ),
    ],
    ids=lambda value: value.state if isinstance(value, Confirmation) else "",
)
def test_a_confirmation_in_words(found: Confirmation, text: str) -> None:
    assert confirmation_text(found) == text
