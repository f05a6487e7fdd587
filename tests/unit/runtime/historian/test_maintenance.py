"""A clock that went wrong deletes nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from nexus_cli.runtime.historian.maintenance import HourlyMaintenance
from tests.clock import FakeClock

NOW = datetime(2026, 12, 24, tzinfo=UTC)
LATER = datetime(2029, 1, 1, tzinfo=UTC)
NEVER = datetime(2106, 2, 7, tzinfo=UTC)
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("database", "ours", "found"),
    [
        (NOW, NOW, NOW),
        (LATER, NOW, NOW),
        (NOW, LATER, NOW),
        (NEVER, NOW, NOW),
        (NOW, NEVER, NOW),
        (LONG_AGO, NOW, NOW),
        (NEVER, NEVER, None),
    ],
)
def test_ages_are_measured_from_the_earlier_possible_clock(
    database: datetime, ours: datetime, found: datetime | None
) -> None:
    link: Any = None
    upkeep = HourlyMaintenance(link=link, site="acme/chicago", clock=FakeClock(now_us=round(ours.timestamp() * 1e6)))
    assert upkeep._age_from(database) == found
