"""Ids of series, minted in bulk."""

from __future__ import annotations

import time

import pytest
from ulid import ULID

from nexus_cli.database import minting
from nexus_cli.database.minting import new_ids


def test_ids_are_ulids_of_this_moment_ascending_and_different() -> None:
    before_ms = time.time_ns() // 1_000_000
    ids = new_ids(5000)
    after_ms = time.time_ns() // 1_000_000
    assert len(set(ids)) == len(ids) == 5000 and ids == sorted(ids)
    read = [ULID.from_str(each) for each in ids]
    assert [str(each) for each in read] == ids
    assert all(before_ms <= each.milliseconds <= after_ms for each in read)
    assert [int(each) - int(read[0]) for each in read] == list(range(5000))


@pytest.mark.parametrize("low", [2**20 - 3, 2**40 - 2, 2**79 - 1])
def test_counting_carries_into_the_digits_above(low: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minting.secrets, "randbits", lambda _: low)
    ids = [int(ULID.from_str(each)) for each in new_ids(8)]
    assert [each & (2**80 - 1) for each in ids] == list(range(low, low + 8))
    assert len({each >> 80 for each in ids}) == 1


def test_two_calls_share_no_id() -> None:
    assert not {*new_ids(1000)} & {*new_ids(1000)}


def test_none_are_none() -> None:
    assert new_ids(0) == []
