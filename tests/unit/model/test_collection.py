"""The garbage collector, held off while a model is built."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from nexus_cli.model.collection import collection_paused


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.enable()


def test_it_is_off_inside_and_on_again_after_an_error_too() -> None:
    with pytest.raises(ZeroDivisionError), collection_paused():
        assert not gc.isenabled()
        raise ZeroDivisionError
    assert gc.isenabled()


def test_the_outer_block_alone_resumes_it() -> None:
    with collection_paused():
        with collection_paused():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_who_works_without_it_goes_on_without_it() -> None:
    gc.disable()
    with collection_paused():
        pass
    assert not gc.isenabled()


def test_what_stays_is_not_scanned_again() -> None:
    with collection_paused(stays=True):
        kept = [[number] for number in range(100)]
    assert gc.get_freeze_count() >= len(kept)
    assert not any(each is kept[0] for each in gc.get_objects(generation=0))
