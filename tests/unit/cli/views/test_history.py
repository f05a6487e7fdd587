"""The view of `nexus history`: values as people read them, gaps in their place, nothing a spreadsheet would run."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from nexus_cli.cli.views.history import plot, table, to_csv
from nexus_cli.database.queries import StoredSample
from nexus_cli.database.segments import ALWAYS_US, NEVER_US, Segment
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.history.document import Bucket, History, Sample
from nexus_cli.history.moment import parse_moment
from nexus_cli.history.rows import shown_sample
from nexus_cli.wire.sample import pack_status

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def answer(rows: Sequence[Sample | Bucket | dict[str, Any]], **more: Any) -> History:
    base: dict[str, Any] = {
        "path": "a/l/d/t",
        "asked": "a/l/d/t",
        "unit": "bar",
        "type": "float64",
        "active": True,
        "since": (NOW - timedelta(hours=1)).isoformat(),
        "until": NOW.isoformat(),
        "every": None,
        "every_ms": None,
        "zone": None,
        "aggregate": None,
        "gaps": [],
        "seams": [],
        "truncated": False,
    }
    shown = {"samples": [], "buckets": [], "buckets" if more.get("every") else "samples": rows}
    return msgspec.convert({**base, **shown, **more}, History, from_attributes=True)


def sample(minute: int, value: Any, quality: str = "GOOD", **more: Any) -> dict[str, Any]:
    return {"time": (NOW - timedelta(minutes=60 - minute)).isoformat(), "value": value, "quality": quality, **more}


def stored(**columns: Any) -> StoredSample:
    empty = dict.fromkeys(("value", "exact", "text", "json", "status", "source_time"))
    return StoredSample(**{**empty, "time": NOW, "quality": 192, **columns})


def segment(kind: str, unit: str = "", factor: float = 1.0, **labels: str) -> Segment:
    return Segment(since_us=ALWAYS_US, until_us=NEVER_US, type=kind, unit=unit, labels=labels, factor=factor)


def row_of(sample: StoredSample, stored_as: Segment, shown_in: Segment | None = None) -> Sample:
    return shown_sample(sample, stored_as, shown_in=shown_in or stored_as, zone=UTC)


def test_gaps_stand_between_the_samples_they_lie_between() -> None:
    gap = {
        "start": (NOW - timedelta(minutes=55)).isoformat(),
        "end": None,
        "frames": 0,
        "reason": "gateway_lost",
        "device": "",
        "gateway": "",
    }
    lines = table(answer([sample(0, 1.0), sample(10, 2.5)], gaps=[gap])).splitlines()
    assert [line.split()[2] for line in lines[1:]] == ["1", "--", "2.5"]
    assert "gap until now: gateway_lost" in lines[2]


def test_renamed_forgotten_and_cut_series_say_so() -> None:
    text = table(answer([], asked="a/l/d/old", active=False, truncated=True))
    assert "asked as a/l/d/old" in text
    assert "no longer declared" in text
    assert "nothing stored" in text
    assert "--limit" in text


@pytest.mark.parametrize(
    ("columns", "kind", "value"),
    [
        ({"value": 1.0}, "bool", True),
        ({"value": 3.0}, "int16", 3),
        ({"value": 3.0}, "float32", 3.0),
        ({"value": 2.0**63, "exact": 2**63 + 1}, "uint64", 2**63 + 1),
        ({"text": "x"}, "string", "x"),
        ({"json": {"a": [1]}}, "json", {"a": [1]}),
        ({"quality": 0}, "float64", None),
    ],
)
def test_values_have_their_type_again(columns: dict[str, Any], kind: str, value: Any) -> None:
    found = row_of(stored(**columns), segment(kind)).value
    assert found == value
    assert type(found) is type(value)


def test_labels_reasons_and_codes_are_shown() -> None:
    labelled = row_of(stored(value=1.0), segment("int16", **{"1": "running"}))
    assert labelled.label == "running"
    bad = row_of(stored(quality=0, status=pack_status("device_error", 0x86)), segment("int16"))
    assert (bad.quality, bad.reason, bad.code) == ("BAD", "device_error", 0x86)
    assert "device_error 0x00000086" in table(answer([bad]))


def test_a_csv_says_what_the_json_says() -> None:
    values = [2**64 - 1, "-5", "=1+1", 'a,"b"\nc', True, {"a": [1, None, True], "b": "x"}]
    history = answer([sample(at, value) for at, value in enumerate(values)])
    rows = list(csv.DictReader(io.StringIO(to_csv(history))))
    shown = [str(2**64 - 1), "-5", "=1+1", 'a,"b"\nc', "true", '{"a":[1,null,true],"b":"x"}']
    assert [row["value"] for row in rows] == shown
    assert {(row["unit"], row["type"]) for row in rows} == {("bar", "float64")}
    disarmed = [row["value"] for row in csv.DictReader(io.StringIO(to_csv(history, spreadsheet=True)))]
    assert disarmed == [shown[0], "'-5", "'=1+1", *shown[3:]]
    assert '{"a":[1,null,true],"b":"x"}' in table(history)


def test_a_seam_stands_where_the_unit_changed_and_nothing_is_drawn_across_terms() -> None:
    kilograms, grams, pieces = segment("float64", "kg", 1000.0), segment("float64", "g"), segment("float64", "pcs")
    converted, same, other = (row_of(stored(value=5.0), each, grams) for each in (kilograms, grams, pieces))
    assert (converted.value, same.value, other.value) == (5000.0, 5.0, 5.0)
    assert [each.unit for each in (converted, same, other)] == [None, None, "pcs"]
    seams = [
        {
            "time": (NOW - timedelta(minutes=30)).isoformat(),
            "before": {"type": "float64", "unit": "pcs"},
            "after": {"type": "float64", "unit": "g"},
            "converted": False,
        }
    ]
    history = answer([sample(10, 5.0, unit="pcs"), sample(40, 5.0)], seams=seams, unit="g")
    lines = table(history).splitlines()
    assert "5 [pcs]" in lines[1]
    assert "unit pcs -> g; what was before is not to be compared" in lines[2]
    rows = list(csv.DictReader(io.StringIO(to_csv(history))))
    assert [(row["quality"], row["unit"]) for row in rows] == [("GOOD", "pcs"), ("SEAM", "g"), ("GOOD", "g")]
    drawn = plot(history, width=60).splitlines()
    assert drawn[0] == "a/l/d/t [g]"
    assert sum(any(0x2800 < ord(sign) <= 0x28FF for sign in line) for line in drawn) == 1
    assert any(line.startswith("seam ┤") and line.rstrip().endswith("|") for line in drawn)


def test_the_plot_puts_high_above_low() -> None:
    lines = plot(answer([sample(0, 0.0), sample(59, 10.0)]), width=20, height=4).splitlines()
    assert lines[0] == "a/l/d/t [bar]"
    assert lines[1].startswith("10 ┤")
    assert lines[1].rstrip()[-1] != "┤"
    assert lines[4].startswith(" 0 ┤")
    assert lines[5].split() == ["2026-01-31", "11:00:00Z", "2026-01-31", "12:00:00Z"]
    assert len(lines) == 6
    assert plot(answer([sample(0, "text")])) == "no numbers to plot"
    assert "5 ┤" in plot(answer([sample(0, 5.0)]))


@pytest.mark.parametrize("text", ["soon", "", "1x", "99999999999999d", "2026-13-01"])
def test_no_moments(text: str) -> None:
    with pytest.raises(NexusError) as caught:
        parse_moment(text, now=NOW, zone=UTC)
    assert caught.value.code == "NX6211"


def gap_from(minute: float, until: float | None) -> dict[str, Any]:
    end = None if until is None else (NOW - timedelta(minutes=60 - until)).isoformat()
    return {
        "start": (NOW - timedelta(minutes=60 - minute)).isoformat(),
        "end": end,
        "frames": 0,
        "reason": "overflow",
        "device": "",
        "gateway": "",
    }


def test_a_csv_breaks_the_line_where_a_gap_begins_and_ends() -> None:
    history = answer(
        [sample(0, 1.0), sample(10, 2.0), sample(40, 3.0)], gaps=[gap_from(10.01, 39.99), gap_from(50, None)]
    )
    cells = list(csv.DictReader(io.StringIO(to_csv(history))))
    assert [(row["value"], row["quality"], row["reason"]) for row in cells] == [
        ("1.0", "GOOD", ""),
        ("2.0", "GOOD", ""),
        ("", "GAP", "overflow"),
        ("", "GAP", "overflow"),
        ("3.0", "GOOD", ""),
        ("", "GAP", "overflow"),
    ]
    assert [row["time"] for row in cells] == sorted(row["time"] for row in cells)


def test_a_plot_marks_the_columns_of_gaps() -> None:
    history = answer([sample(0, 1.0), sample(59, 2.0)], gaps=[gap_from(15, 30), gap_from(45, None)])
    marks = next(line for line in plot(history, width=60).splitlines() if line.startswith("gap ┤"))
    assert [at for at, sign in enumerate(marks.partition("┤")[2]) if sign == "x"] == [*range(15, 31), *range(45, 60)]
    assert "gap" not in plot(answer([sample(0, 1.0)])), "without gaps there is no line for them"


def test_a_bucket_names_its_gaps() -> None:
    moment = NOW.isoformat()
    buckets = [Bucket(time=moment, end=moment, value=None, count=0, good=0, gap="gateway_killed")]
    history = answer(buckets, every="1m", every_ms=60_000)
    assert "gap: gateway_killed" in table(history)
    assert to_csv(history).splitlines()[1].split(",")[4] == "gateway_killed"
