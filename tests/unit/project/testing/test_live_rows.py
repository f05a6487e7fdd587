"""Rows of a live test: those of a test before, which the historian stores late, are none of this one."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from nexus_cli.project.testing.live import running
from nexus_cli.project.testing.live.running import LiveTests
from nexus_cli.project.testing.plant import Row, Seen

PATH = "hall/line-1/oven/temperature"
EARLY, LATE = (datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC) for second in (1, 2))
SEEN = Seen(at_ms=0, value=21.5, quality="GOOD", reason="", unit="", label="", payload={"value": 21.5})


@pytest.mark.parametrize(
    ("seen", "looks", "time"), [(SEEN, 3, LATE), (None, 1, EARLY)], ids=["the historian is behind", "nothing is live"]
)
async def test_a_test_begins_when_the_historian_has_what_is_live(
    monkeypatch: pytest.MonkeyPatch, seen: Seen | None, looks: int, time: datetime
) -> None:
    looked: list[datetime] = []

    @contextlib.asynccontextmanager
    async def connection(*_: Any, **__: Any) -> AsyncIterator[None]:
        yield None

    async def newest_times(*_: Any, **__: Any) -> dict[str, datetime]:
        looked.append(EARLY if len(looked) < 2 else LATE)
        return {PATH: looked[-1]}

    async def rows_since(*_: Any, **__: Any) -> dict[str, tuple[list[Row], list[Row]]]:
        value = 21.5 if looked[-1] == LATE else 20.0
        return {PATH: ([Row(at_ms=0, value=value, quality="GOOD")], [])}

    for name, made in (("connection", connection), ("newest_times", newest_times), ("rows_since", rows_since)):
        monkeypatch.setattr(running, name, made)
    tests: Any = LiveTests(
        names=None,  # type: ignore[arg-type]
        judge=None,  # type: ignore[arg-type]
        runtime=SimpleNamespace(settings=SimpleNamespace(site="acme/hall")),  # type: ignore[arg-type]
        watched=SimpleNamespace(newest=lambda _: seen),  # type: ignore[arg-type]
        offline=None,  # type: ignore[arg-type]
        wait_s=60.0,
    )
    assert await tests._newest_rows([PATH]) == {PATH: time}
    assert len(looked) == looks
