"""Which event loop a role runs on, and when its garbage collector sets aside what was built."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Iterator

import pytest

from nexus_cli.runtime.event_loop import loop_factory
from nexus_cli.runtime.garbage import SETTLE_S, THRESHOLDS, Garbage
from nexus_cli.settings import EventLoop


def test_asyncios_loop_is_had_by_the_setting() -> None:
    assert loop_factory(EventLoop.ASYNCIO) is None


def test_uvloop_is_used_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    uvloop = pytest.importorskip("uvloop")
    factory = loop_factory(EventLoop.AUTO)
    assert factory is not None
    loop = factory()
    try:
        assert isinstance(loop, uvloop.Loop)
    finally:
        loop.close()
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert loop_factory(EventLoop.AUTO) is None, "without it a role starts all the same"


@pytest.fixture
def collector() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.mark.simulated_time
async def test_what_was_built_is_set_aside_once_for_several_changes(collector: None) -> None:
    garbage = Garbage()
    gc.unfreeze()
    garbage.changed()
    await asyncio.sleep(2 * SETTLE_S)
    assert gc.get_freeze_count() == 0, "nobody asked for it"
    garbage.manage()
    assert gc.get_threshold() == THRESHOLDS
    garbage.changed()
    await asyncio.sleep(0.6 * SETTLE_S)
    garbage.changed()
    await asyncio.sleep(0.6 * SETTLE_S)
    assert gc.get_freeze_count() == 0
    await asyncio.sleep(0.6 * SETTLE_S)
    assert gc.get_freeze_count() > 0
