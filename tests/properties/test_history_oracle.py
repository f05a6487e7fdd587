"""Buckets of history against computations by force: zones and clock changes, held values, gaps, rollups, seams."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.database.cover import Reach, cover
from nexus_cli.database.rollups import Piece, Rollup, RollupBuilder
from nexus_cli.database.segments import segments_of, stretches_of
from nexus_cli.model.calendar import DAY_US, HOUR_US, Every, microseconds, moment_of, parse_every

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/Chicago",
    "Asia/Kolkata",
    "Africa/Cairo",
    "Australia/Lord_Howe",
    "America/Havana",
)
CHANGES = ("2026-03-08", "2026-03-29", "2026-04-05", "2026-04-24", "2026-10-25", "2026-11-01", "2026-12-31")
WIDTHS = ("15m", "1h", "7h", "1d", "1w", "1mo", "2d")


class Story(NamedTuple):
    """What happened to a tag: samples (time in µs, value, quality) and moments from which on nobody knows the value."""

    samples: list[tuple[int, int | None, int]]
    lost: list[int]
    before: int | None
    since_us: int
    until_us: int


@st.composite
def stories(draw: st.DrawFn) -> tuple[Story, Every, ZoneInfo]:
    every = parse_every(draw(st.sampled_from(WIDTHS)))
    zone = ZoneInfo(draw(st.sampled_from(ZONES)))
    around = microseconds(datetime.fromisoformat(draw(st.sampled_from(CHANGES))).replace(tzinfo=UTC))
    reach = min(every.about_us * 4, 60 * DAY_US)
    source = random.Random(draw(st.integers(0, 2**32)))

    def moment() -> int:
        exact = around + source.randrange(-reach, reach)
        return exact - exact % HOUR_US if source.random() < 0.3 else exact

    since_us, until_us = sorted((moment(), moment() + 1))
    if since_us == until_us:
        until_us += 1
    times = sorted({moment() for _ in range(source.randrange(40))})
    times = [time for time in times if since_us <= time < until_us]
    samples = []
    for time in times:
        quality = source.choice((192, 192, 64, 0))
        samples.append((time, None if quality == 0 else source.randrange(-50, 50), quality))
    lost = sorted({moment() for _ in range(source.randrange(4))})
    before = source.choice((None, 7))
    return Story(samples, [at for at in lost if since_us <= at < until_us], before, since_us, until_us), every, zone


def by_force(story: Story, start_us: int, end_us: int) -> dict[str, Any]:
    """What of one bucket is true, from the spans in which each value held."""
    low, high = max(start_us, story.since_us), min(end_us, story.until_us)
    turns: list[tuple[int, int, int | None]] = [(story.since_us, -1, story.before)]
    turns += [(at, 0, None) for at in story.lost]
    turns += [(time, 1, value) for time, value, _ in story.samples]
    turns.sort(key=lambda turn: turn[:2])
    ends = [time for time, *_ in turns[1:]] + [story.until_us]
    area, covered, values = Fraction(0), 0, []
    for (time, kind, value), until in zip(turns, ends, strict=True):
        span = min(until, high) - max(time, low)
        if value is None:
            continue
        if span > 0:
            area, covered = area + value * span, covered + span
        if span > 0 or (kind == 1 and low <= time < high):
            values.append(value)
    inside = [quality for time, _, quality in story.samples if low <= time < high]
    return {
        "count": len(inside),
        "good": sum(quality == 192 for quality in inside),
        "covered_us": covered,
        "average": area / covered if covered else None,
        "minimum": min(values, default=None),
        "maximum": max(values, default=None),
        "first": values[0] if values else None,
        "last": values[-1] if values else None,
    }


def piece_of(samples: list[tuple[int, int | None, int]]) -> Piece:
    """Neighbouring samples, rolled up."""
    values = [value for _, value, _ in samples if value is not None]
    area = covered = 0
    for (time, value, _), (until, *_) in pairwise(samples):
        if value is not None:
            area, covered = area + value * (until - time), covered + until - time
    return Piece(
        first_us=samples[0][0],
        last_us=samples[-1][0],
        count=len(samples),
        good=sum(quality == 192 for *_, quality in samples),
        minimum=min(values, default=None),
        maximum=max(values, default=None),
        first=values[0] if values else None,
        last=values[-1] if values else None,
        held=samples[-1][1],
        area=area,
        covered_us=covered,
    )


def built(story: Story, every: Every, zone: ZoneInfo, *, rolled: bool) -> list[Rollup]:
    builder = RollupBuilder(
        start_us=every.floor(story.since_us, zone),
        after=lambda start_us: every.after(start_us, zone),
        since_us=story.since_us,
        until_us=story.until_us,
        before=story.before,
    )
    borders, at = [], every.floor(story.since_us, zone)
    while at < story.until_us:
        borders.append(at)
        at = every.after(at, zone)
    reaches = [
        Reach(width_us=DAY_US, start_us=-(2**60), end_us=2**60),
        Reach(width_us=HOUR_US, start_us=0, end_us=2**60),
    ]
    parts = cover(
        story.since_us,
        story.until_us,
        cuts=sorted({*borders, *story.lost}),
        reaches=[each for each in reaches if rolled and each.width_us <= every.about_us],
    )
    items: list[Any] = []
    for part in parts:
        inside = [sample for sample in story.samples if part.start_us <= sample[0] < part.end_us]
        if not part.width_us:
            items += inside
            continue
        for bucket in sorted({time // part.width_us for time, *_ in inside}):
            items.append(piece_of([sample for sample in inside if sample[0] // part.width_us == bucket]))
    made: list[Rollup] = []
    lost = list(story.lost)
    for item in items:
        time = item.first_us if isinstance(item, Piece) else item[0]
        while lost and lost[0] <= time:
            made += builder.lose(lost.pop(0))
        made += builder.merge(item) if isinstance(item, Piece) else builder.add(*item)
    for at in lost:
        made += builder.lose(at)
    return [*made, *builder.finish()]


@pytest.mark.parametrize("rolled", [False, True])
@given(case=stories())
def test_buckets_say_what_is_true_by_force(rolled: bool, case: tuple[Story, Every, ZoneInfo]) -> None:
    story, every, zone = case
    for bucket in built(story, every, zone, rolled=rolled):
        expected = by_force(story, bucket.start_us, bucket.end_us)
        average = expected.pop("average")
        assert {name: getattr(bucket, name) for name in expected} == expected
        assert (bucket.average is None) == (average is None)
        assert average is None or abs(bucket.average - float(average)) < 1e-9


@given(case=stories())
def test_a_moment_lies_in_the_bucket_that_the_clocks_say(case: tuple[Story, Every, ZoneInfo]) -> None:
    story, every, zone = case
    start_us = every.floor(story.since_us, zone)
    end_us = every.after(start_us, zone)
    assert start_us <= story.since_us < end_us
    assert every.floor(start_us, zone) == start_us
    assert every.floor(end_us - 1, zone) == start_us
    if not every.unit:
        return
    shown = moment_of(story.since_us).astimezone(zone).date()
    begins = moment_of(start_us).astimezone(zone).date()
    if every.text == "1d":
        assert begins == shown
    elif every.text == "1w":
        assert begins == shown - timedelta(days=shown.weekday())
    elif every.text == "1mo":
        assert begins == shown.replace(day=1)


@given(
    ends=st.tuples(st.integers(0, 300), st.integers(1, 300)),
    cuts=st.lists(st.integers(0, 600), max_size=20),
    reaches=st.lists(st.tuples(st.sampled_from((24, 6, 2)), st.integers(0, 400), st.integers(0, 400)), max_size=3),
    stale=st.lists(st.tuples(st.integers(0, 600), st.integers(1, 9)), max_size=4),
)
def test_a_cover_has_no_holes_and_no_rollup_lies_across_a_cut(
    ends: tuple[int, int],
    cuts: list[int],
    reaches: list[tuple[int, int, int]],
    stale: list[tuple[int, int]],
) -> None:
    start, end = ends[0], sum(ends)
    cuts = sorted(set(cuts))
    old = sorted((at, at + length) for at, length in stale)
    there = [
        Reach(width_us=width, start_us=low, end_us=low + more) for width, low, more in sorted(reaches, reverse=True)
    ]
    parts = cover(start, end, cuts=cuts, reaches=there, stale=old)
    assert [part.start_us for part in parts] == [start, *(part.end_us for part in parts[:-1])]
    assert parts[-1].end_us == end
    for part in parts:
        assert part.start_us < part.end_us
        if not part.width_us:
            continue
        assert part.start_us % part.width_us == part.end_us % part.width_us == 0
        assert any(
            each.width_us == part.width_us and each.start_us <= part.start_us and part.end_us <= each.end_us
            for each in there
        )
        assert not [cut for cut in cuts if part.start_us < cut < part.end_us and cut % part.width_us]
        assert not [span for span in old if span[0] < part.end_us and part.start_us < span[1]]


TERMS = (
    ("float64", "kg"),
    ("float64", "g"),
    ("int32", "g"),
    ("float64", "degC"),
    ("float64", ""),
    ("bool", ""),
    ("string", ""),
)
FACTORS = {("kg", "g"): 1000.0, ("g", "kg"): 0.001}


@given(
    changes=st.lists(st.sampled_from(TERMS), min_size=1, max_size=8),
    span=st.tuples(st.integers(0, 9), st.integers(1, 9)),
)
def test_a_stretch_mixes_nothing_that_can_not_be_converted(
    changes: list[tuple[str, str]], span: tuple[int, int]
) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    stored = [
        f'{{"type": "{kind}", "unit": "{unit}", "labels": {{}}, "since": "{(start + timedelta(hours=at)).isoformat()}"}}'
        for at, (kind, unit) in enumerate(changes)
    ]
    segments = segments_of(f"[{','.join(stored)}]", type=changes[-1][0], unit=changes[-1][1], labels={})
    since_us = microseconds(start) + span[0] * HOUR_US
    until_us = since_us + span[1] * HOUR_US
    stretches = stretches_of(segments, since_us=since_us, until_us=until_us)
    touching = [each for each in segments if each.since_us < until_us and each.until_us > since_us]
    shown = [segment for stretch in stretches for segment in stretch.segments]
    assert [each.since_us for each in shown] == [each.since_us for each in touching or segments[-1:]]
    for stretch in stretches:
        for segment in stretch.segments:
            if segment.unit == stretch.last.unit:
                assert segment.shown(5.0) == 5.0
            else:
                factor = FACTORS[segment.unit, stretch.last.unit]
                assert segment.shown(5.0) == pytest.approx(5.0 * factor)
    for one, other in pairwise(stretches):
        assert (one.kind, one.last.unit) != (other.kind, other.last.unit)
