"""Payloads that are joined in bulk are those that are encoded one by one."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.model.config import TagConfig
from nexus_cli.runtime.gateway.devices.tag_table import TagTable
from nexus_cli.runtime.gateway.live_table import LiveTable, payload
from nexus_cli.wire.payload import JSON_EXACT, encode_live, join_live, live_end, live_moment
from nexus_cli.wire.sample import Quality, Reason

NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.integers(-1000, 1000).map(lambda number: number / 100),
    st.integers(-JSON_EXACT, JSON_EXACT),
    st.integers(-JSON_EXACT, JSON_EXACT).map(float),
    st.booleans(),
)
UNITS = st.one_of(st.none(), st.just(""), st.text(st.characters(exclude_categories=["Cs"]), max_size=8))
TIMES = st.integers(0, 2**62)
VALUES = st.one_of(
    NUMBERS, st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=5), st.just(2**63), st.just([1, 2.5])
)
SAMPLES = st.fixed_dictionaries(
    {
        "value": VALUES,
        "unit": UNITS,
        "time_us": st.one_of(TIMES, st.just(1_700_000_000_123_456)),
        "source_us": st.one_of(st.none(), st.none(), st.integers(0, 2**52)),
        "quality": st.sampled_from([Quality.GOOD, Quality.GOOD, Quality.GOOD, Quality.UNCERTAIN, Quality.BAD]),
        "labels": st.sampled_from([{}, {}, {"0": "off", "1": "on"}]),
    }
)


@given(st.lists(st.tuples(NUMBERS, UNITS, TIMES), min_size=1, max_size=30))
def test_joined_payloads_are_the_encoded_ones(tags: list[tuple[bool | int | float, str | None, int]]) -> None:
    values, moments = [value for value, _, _ in tags], [live_moment(time_us) for _, _, time_us in tags]
    joined = join_live(values, moments, [live_end(unit) for _, unit, _ in tags])
    assert joined == [encode_live(value, time_us=time_us, unit=unit) for value, unit, time_us in tags]


@given(st.lists(SAMPLES, min_size=1, max_size=12), st.data())
def test_a_device_has_the_payloads_of_its_tags(samples: list[dict[str, Any]], data: st.DataObject) -> None:
    configs = {
        f"tag-{at}": TagConfig(type="float64", unit=sample["unit"] or "", values=sample["labels"])
        for at, sample in enumerate(samples)
    }
    table = TagTable("a/l/d", configs)
    table.prefix = "e/s/a/l/d/"
    for state, sample in zip(table.states, samples, strict=True):
        state.value, state.time_us, state.quality = sample["value"], sample["time_us"], sample["quality"]
        if sample["source_us"] is not None:
            state.source_us = sample["source_us"]
        if state.quality is not Quality.GOOD:
            state.reason = Reason.OUT_OF_RANGE
    one = LiveTable(table, first=0)
    places = data.draw(st.permutations(range(len(samples))))[: data.draw(st.integers(1, len(samples)))]
    usual, odd = one.split(places)
    assert sorted(usual + odd) == sorted(places) and one.is_usual(usual) and one.is_usual(places) == (not odd)
    if usual:
        joined = join_live(one.values(usual), [live_moment(table.times[at]) for at in usual], one.ends(usual))
        assert joined == [payload(table.state(at)) for at in usual]
    assert one.heads(places) == [
        len(f"e/s/a/l/d/tag-{at}").to_bytes(2, "big") + f"e/s/a/l/d/tag-{at}".encode() for at in places
    ]
