"""What was measured, as entries and lines; what is not known is named once, with its reason."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from nexus_cli.model.snapshot import Snapshot
from nexus_cli.plan.document import plan_document
from nexus_cli.plan.document_schema import plan_schema
from nexus_cli.plan.facts_question import concerned
from nexus_cli.plan.measured import Measured, measured_entry, measured_lines, samples_text, size_words, unknowns_of
from nexus_cli.plan.measured_document import with_measures
from nexus_cli.plan.plan import Base, Plan, make_plan
from nexus_cli.plan.planfile import PlanSource, read_planfile, write_planfile
from nexus_cli.plan.text import plan_text
from nexus_cli.plan.unreachable import Unreachable
from nexus_cli.wire.control_facts import Facts, MeasuredDatabase, MeasuredLink, MeasuredSeries

AWAY = (
    Unreachable(gateways=("gw-1",), refused=True, text="gateway gw-1 is lost: sequence 'stop' would run"),
    Unreachable(
        gateways=("gw-2",), refused=False, text="gateway gw-2 is lost: it takes the change up when it runs again"
    ),
)
YEARS = MeasuredSeries(
    path="a/l/one/b",
    samples=63_072_000,
    exact=True,
    first=1_732_924_800_000_000,
    last=1_796_000_000_000_000,
    bytes=1_200_000_000,
)


def tag(**keys: Any) -> dict[str, Any]:
    return {"type": "float64", "published_type": "float64", "address": "holding:0", **keys}


def device(path: str, *names: str, **keys: Any) -> dict[str, Any]:
    return {
        "path": path,
        "protocol": "modbus",
        "link": "tcp:x:502",
        "gateway": "gw-1",
        "connection": {"host": "x"},
        "tags": {name: tag(address=f"holding:{place}") for place, name in enumerate(names)},
        **keys,
    }


def plan_of(before: list[dict[str, Any]], after: list[dict[str, Any]], **others: Any) -> Plan:
    site = {"site": {"enterprise": "acme", "site": "chicago"}}
    old = Snapshot.of("acme", "chicago", {**site, **{f"device.{each['path']}": each for each in before}})
    resources = {**site, **{f"device.{each['path']}": each for each in after}}
    new = Snapshot.of(
        "acme", "chicago", {**resources, **{name.replace("__", "."): one for name, one in others.items()}}
    )
    return make_plan(Base(deployment=1, digest=old.digest, digests=old.digests, resources=old.resources), new).unwrap()


@pytest.mark.parametrize(
    ("series", "text"),
    [
        ([YEARS], "63,072,000 samples since 2024-11-30, about 1.2 GB"),
        (
            [MeasuredSeries(path="x", samples=1, exact=True, first=0, bytes=110)],
            "1 sample since 1970-01-01, about 110 B",
        ),
        ([MeasuredSeries(path="x", samples=0, exact=True, bytes=0)], "0 samples"),
        ([MeasuredSeries(path="x", samples=9, exact=False, bytes=0)], "about 9 samples"),
        ([YEARS, MeasuredSeries(path="x", why="no")], "at least 63,072,000 samples since 2024-11-30, about 1.2 GB"),
        ([MeasuredSeries(path="x", why="no")], ""),
        ([], ""),
    ],
)
def test_samples_in_words(series: list[MeasuredSeries], text: str) -> None:
    assert samples_text(series) == text


def test_sizes_in_words() -> None:
    assert [size_words(each) for each in (0, 999, 1_000, 123_456, 999_600, 1_500_000_000, 2 * 10**15)] == [
        *("0 B", "999 B", "1.0 kB", "123 kB", "1.0 MB", "1.5 GB", "2000.0 TB")
    ]


def test_a_plan_asks_for_what_its_changes_concern_alone() -> None:
    before = [device("a/l/one", "a", "b"), device("a/l/two", "a", link="tcp:y:502")]
    after = [device("a/l/one", "a", "c"), device("a/l/two", "a", link="tcp:z:502")]
    found = concerned(plan_of(before, after, retention__long={"keep_ms": 1}).changes)
    assert found.series == ("a/l/one/b",), "what is forgotten; what is new has no samples"
    assert set(found.links) == {("gw-1", "tcp:x:502"), ("gw-1", "tcp:y:502"), ("gw-1", "tcp:z:502")}
    assert found.arriving == {("gw-1", "tcp:z:502")}
    assert found.gateways == ("gw-1",)
    assert found.classes == ("long",)
    assert not concerned(plan_of(before, before).changes).links


def test_a_series_that_breaks_or_changes_its_class_is_asked_for() -> None:
    before = device("a/l/one", "a", "b", "c")
    after = {
        **before,
        "tags": {
            **before["tags"],
            "a": tag(type="int16", published_type="int16"),
            "b": tag(address="holding:1", retention="long"),
        },
    }
    assert set(concerned(plan_of([before], [after]).changes).series) == {"a/l/one/a", "a/l/one/b"}


def test_the_document_is_what_its_schema_says_and_survives_a_file(tmp_path: Any) -> None:
    plan = plan_of([device("a/l/one", "a", "b")], [device("a/l/one", "a")])
    plain = plan_document(plan)
    facts = Facts(
        series=[YEARS],
        links=[
            MeasuredLink(
                link="tcp:x:502", gateway="gw-1", state="connected", devices=1, answering=1, cycle_ms=4.5, requests=1
            )
        ],
        database=MeasuredDatabase(revision="0022", head="0023", pending=["0023"], tables=["long"]),
    )
    document = with_measures(
        plain, plan.changes, Measured(facts=facts, retained=1, unreachable=AWAY), probe=[], unknown=["x: y"]
    )
    jsonschema.validate(document, plan_schema())
    jsonschema.validate(plain, plan_schema())
    keys = list(document)
    assert keys[keys.index("templates") + 1 :][:5] == ["defaults", "measured", "probe", "unreachable", "unknowns"]
    file = tmp_path / "one.plan"
    source: PlanSource = {"path": "x", "env": None, "variables": {}}
    write_planfile(file, document=document, changed=plan.desired, source=source)
    assert read_planfile(file).document == document
    text = plan_text(document, style=lambda each, _: each)
    assert (
        "1 forgotten; its samples are kept: 63,072,000 samples since 2024-11-30, about 1.2 GB; they go when their retention ends, or by `nexus purge`"
        in text
    )
    assert "Can't be applied now:\n  gateway gw-1 is lost: sequence 'stop' would run\n" in text
    assert "Not reached now:\n  gateway gw-2 is lost: it takes the change up" in text
    assert "no new ones are stored (63,072,000 samples since 2024-11-30, about 1.2 GB) [not allowed]" in text
    assert (
        "database: 1 migration pending (0022 -> 0023); new tables for long; the historian drops what is too old" in text
    )
    assert "Trial read:\n  no address is new or changed" in text and "  x: y" in text


def test_counts_are_no_part_of_what_a_hazard_is() -> None:
    plan = plan_of([device("a/l/one", "a", "b")], [device("a/l/one", "a")])
    plain = plan_document(plan)
    document = with_measures(plain, plan.changes, Measured(facts=Facts(series=[YEARS])))
    for key in ("name", "code", "scope", "address", "message", "allowed"):
        assert [each[key] for each in document["hazards"]] == [each[key] for each in plain["hazards"]]
    assert [each["text"] for each in document["impact"]] == [each["text"] for each in plain["impact"]]


def test_each_unknown_is_named_once_with_its_reason() -> None:
    facts = Facts(
        series=[MeasuredSeries(path=f"a/l/one/t{place}", why="counting took too long") for place in range(3)],
        links=[MeasuredLink(link="tcp:x:502", gateway="gw-1", why="no running gateway reports it")],
        unknown=["database: away"],
    )
    assert unknowns_of(Measured(facts=facts, unknowns=("stored samples: 5 more",))) == [
        "stored samples: 5 more",
        "database: away",
        "samples of a/l/one/t0 and 2 more: counting took too long",
        "measures of tcp:x:502: no running gateway reports it",
    ]
    assert not [
        each
        for each in unknowns_of(Measured(facts=facts, arriving=frozenset({("gw-1", "tcp:x:502")})))
        if "tcp:x" in each
    ]
    assert unknowns_of(Measured()) == []
    assert measured_entry(Measured())["series"] == []


def test_links_are_given_to_who_predicts() -> None:
    one = MeasuredLink(link="serial:/dev/ttyUSB0", gateway="gw-1", cycle_ms=2.0, requests=3, state="connected")
    two = MeasuredLink(link="serial:/dev/ttyUSB0", gateway="gw-2", cycle_ms=9.0, requests=1, state="connected")
    found = Measured(facts=Facts(links=[one, two]))
    assert {place: (each.cycle_ms, each.requests) for place, each in found.links().items()} == {
        ("gw-1", "serial:/dev/ttyUSB0"): (2.0, 3),
        ("gw-2", "serial:/dev/ttyUSB0"): (9.0, 1),
    }
    first, second, *_ = measured_lines(measured_entry(found))
    assert first.startswith("serial:/dev/ttyUSB0 of gw-1: a poll turn takes up to 2 ms"), "the same name is two lines"
    assert second.startswith("serial:/dev/ttyUSB0 of gw-2: a poll turn takes up to 9 ms")
    assert Measured().links() == {}


def test_what_is_protected_is_said_to_stay() -> None:
    kept = device("a/l/one", "a", "b")
    kept["tags"]["b"]["keep_always"] = True
    for after, words in (
        (
            ["a"],
            "; `keep: always` protects them until `nexus keep end`; no retention and no `nexus purge` removes them before",
        ),
        (["b"], "; they go when their retention ends, or by `nexus purge`"),
    ):
        plan = plan_of(
            [kept], [device("a/l/one", *after)] if after == ["a"] else [kept | {"tags": {"b": kept["tags"]["b"]}}]
        )
        (gone,) = [tag.path for change in plan.changes for tag in change.tags if tag.after is None]
        facts = Facts(series=[MeasuredSeries(path=gone, samples=5, exact=True, first=0, bytes=0)])
        document = with_measures(plan_document(plan), plan.changes, Measured(facts=facts))
        (said,) = [each["measured"] for each in document["impact"] if "measured" in each]
        assert said == f"5 samples since 1970-01-01{words}"
    both = plan_of([kept], [device("a/l/one", "c")])
    facts = Facts(
        series=[MeasuredSeries(path=f"a/l/one/{one}", samples=5, exact=True, first=0, bytes=0) for one in "ab"]
    )
    (said,) = [
        each["measured"]
        for each in with_measures(plan_document(both), both.changes, Measured(facts=facts))["impact"]
        if "measured" in each
    ]
    assert "they go when their retention ends, or by `nexus purge`; of 1 tag: `keep: always` protects them" in said
