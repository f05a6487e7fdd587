"""How often a simulated value changes."""

from __future__ import annotations

import pytest

from nexus_cli.drivers.opcua.simulator.node import beat_ms
from nexus_cli.model.config import TagConfig


@pytest.mark.parametrize(
    ("poll_ms", "options", "beat"),
    [(1000, {}, 1000), (1000, {"sampling": 100}, 100), (500, {"sampling": 2000}, 500), (0, {}, 1)],
)
def test_a_value_changes_as_often_as_it_is_looked_at(poll_ms: int, options: dict[str, int], beat: int) -> None:
    assert beat_ms(TagConfig(type="float64", poll_ms=poll_ms, options=options)) == beat
