"""What is said of a deployment that can't begin."""

from __future__ import annotations

import datetime as dt

import pytest

from nexus_cli.database.lease import Lease
from nexus_cli.runtime.control.deployment_answers import locked

NOW = dt.datetime(2026, 1, 5, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("deployment", "reason", "said"),
    [
        (7, "", "Deployment 7 of nexus.cli holds the lock."),
        (7, "line 2", "Deployment 7 of nexus.cli holds the lock (line 2)."),
        (0, "", "nexus.cli holds the lock."),
    ],
)
def test_who_holds_the_lock_is_named_by_the_deployment(deployment: int, reason: str, said: str) -> None:
    """Two people with one token would each read their own name."""
    held = Lease(
        site="acme/chicago",
        owner="nexus.cli",
        reason=reason,
        token="t",
        acquired=NOW,
        heartbeat=NOW,
        expires=NOW,
        expired=False,
        deployment_id=deployment or None,
        deployment=deployment,
    )
    refused = locked(held)
    assert (refused.code, refused.message) == ("NX5001", said)


def test_without_a_holder_that_is_known() -> None:
    assert locked(None).message == "Another deployment is running."
