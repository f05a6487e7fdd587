"""The ends of undeclared series: each has one, none is lost, and nothing is declared that would be something else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.discover.adopt.series import STATES, Around, Choices, SeriesEntry, series_entries, sums, targets_of
from nexus_cli.discover.adopt.series_edit import written
from nexus_cli.source.document import Document
from nexus_cli.wire.control_undeclared import UndeclaredSeries


def series(path: str, **more: Any) -> UndeclaredSeries:
    return UndeclaredSeries(
        **{"ulid": f"id of {path}", "path": path, "type": "float64", "retention": "default", "samples": 3, **more}
    )


DEVICES = {"a/l/meter": "modbus", "a/l/scale": "external", "a/l/far": "external"}


def around(*declared: str, **more: Any) -> Around:
    given: Mapping[str, Any] = {"protocols": DEVICES, "editable": lambda path: path != "a/l/far", **more}
    return Around(declared=set(declared), **given)


def end(one: UndeclaredSeries, choices: Choices, where: Around | None = None) -> SeriesEntry:
    (entry,) = series_entries([one], choices, where or around())
    return entry


def test_without_a_choice_a_series_is_left() -> None:
    found = end(series("a/l/scale/x"), Choices())
    assert (found.state, found.act) == ("left", "") and "no choice" in found.reason


def test_a_tag_has_the_type_unit_class_and_names_of_its_series() -> None:
    one = series("a/l/scale/x", type="int64", unit="kg", retention="long", labels={"0": "off", "-1": "odd"})
    found = end(one, Choices(declare=("a/**",), keep=("a/l/scale/x",)))
    assert found.state == "declared"
    assert found.tag == {
        "type": "int64",
        "unit": "kg",
        "values": {0: "off", -1: "odd"},
        "retention": "long",
        "keep": "always",
    }
    assert found.act == "keep", "it is protected from now on, not from the next apply on"


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (series("a/l/meter/x", protocol="modbus", address="holding:7"), "with its address; it was holding:7 of modbus"),
        (series("a/l/far/x"), "in another file"),
        (series("a/l/scale/x~01ABC"), "set it aside"),
        (series("a/l/scale/state/deep"), "deeper than a tag"),
        (series("a/l/scale/Größe"), "can't be that of a tag"),
        (series("lonely"), "can't be that of a tag"),
        (series("a/l/scale/x y"), "can't be that of a tag"),
        (series("a//scale/x"), "can't be that of a tag"),
    ],
)
def test_what_can_not_be_declared_is_left_with_its_reason(one: UndeclaredSeries, reason: str) -> None:
    found = end(one, Choices(declare=("**",)))
    assert found.state == "left" and reason in found.reason
    assert end(one, Choices(keep=("**",))).state == "kept", "it can be protected all the same"
    assert end(one, Choices(forget=("**",))).state == "forgotten"


def test_only_what_changes_is_settled() -> None:
    forget, keep = Choices(forget=("**",)), Choices(keep=("**",))
    assert end(series("a/l/scale/x"), forget).act == ""
    assert end(series("a/l/scale/x", active=True), forget).act == "forget"
    assert end(series("a/l/scale/x"), keep).act == "keep"
    assert end(series("a/l/scale/x", protected=True), keep).act == ""
    assert end(series("a/l/scale/x", protected=True), Choices()).state == "kept"


def test_a_move_binds_a_series_to_a_tag_that_has_none() -> None:
    choices = Choices(moves=(("a/l/old", "a/l/meter"),))
    found = end(series("a/l/old/x"), choices, around("a/l/meter/x"))
    assert (found.state, found.entry) == ("bound", ("a/l/old", "a/l/meter"))
    assert "is not declared" in end(series("a/l/old/x"), choices).reason
    taken = around("a/l/meter/x", taken={"a/l/meter/x"})
    assert "a history of its own" in end(series("a/l/old/x"), choices, taken).reason


def test_two_series_never_become_one() -> None:
    choices = Choices(moves=(("a/l/old", "a/l/meter"), ("a/l/older", "a/l/meter")))
    found = series_entries([series("a/l/old/x"), series("a/l/older/x")], choices, around("a/l/meter/x"))
    assert [one.state for one in found] == ["bound", "left"]
    assert "another series goes" in found[1].reason


def test_what_the_files_say_already_changes_nothing() -> None:
    declared = end(series("a/l/scale/x"), Choices(declare=("**",)), around("a/l/scale/x"))
    assert (declared.state, declared.tag, declared.act) == ("declared", {}, "")
    entry = (("a/l/old", "a/l/meter"),)
    moved = end(series("a/l/old/x"), Choices(moves=entry), around("a/l/meter/x", moved=entry))
    assert (moved.state, moved.entry) == ("bound", None)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        (Choices(forget=("**",), declare=("**",)), "chosen for two ends"),
        (Choices(forget=("**",), keep=("**",)), "chosen for two ends"),
        (Choices(declare=("**",), moves=(("a/l/scale", "a/l/other"),)), "chosen for two ends"),
        (Choices(forget=("b/**",)), "--forget 'b/**' takes no undeclared series"),
        (Choices(moves=(("a/l/sca", "a/l/other"),)), "takes no undeclared series"),
    ],
)
def test_what_can_not_be_meant_is_refused(choices: Choices, message: str) -> None:
    with pytest.raises(NexusError, match=None) as caught:
        series_entries([series("a/l/scale/x")], choices, around())
    assert caught.value.code == "NX5019" and message in caught.value.message


PATHS = st.lists(
    st.sampled_from(["a", "b", "l", "scale", "meter", "x", "x~01", "Ü", "far"]), min_size=1, max_size=6
).map("/".join)
SERIES = st.builds(
    lambda path, samples, active, protected: series(path, samples=samples, active=active, protected=protected),
    PATHS,
    st.none() | st.integers(0, 2**40),
    st.booleans(),
    st.booleans(),
)
GLOBS = st.sampled_from(["a/**", "b/**", "**/x", "a/l/scale/*", "a/*/meter/*"])
CHOICES = st.builds(
    Choices,
    declare=st.lists(GLOBS, max_size=2).map(tuple),
    keep=st.lists(GLOBS, max_size=2).map(tuple),
    forget=st.lists(GLOBS, max_size=1).map(tuple),
    moves=st.lists(st.tuples(PATHS, PATHS), max_size=2).map(tuple),
)


@given(st.lists(SERIES, max_size=12, unique_by=lambda one: one.path), CHOICES, st.sets(PATHS, max_size=4))
def test_as_many_series_and_samples_come_out_as_went_in(
    found: list[UndeclaredSeries], choices: Choices, declared: set[str]
) -> None:
    where = around(*declared, taken=set(targets_of(found, choices, [])[::2]))
    try:
        entries = series_entries(found, choices, where)
    except NexusError as error:
        assert error.code == "NX5019"
        return
    assert [one.series for one in entries] == found
    number = sums(entries)
    assert number["series"]["found"] == len(found) == sum(number["series"][state] for state in STATES)
    samples = sum(one.samples or 0 for one in found)
    assert number["samples"]["found"] == samples == sum(number["samples"][state] for state in STATES)
    assert all(bool(one.reason) if one.state == "left" else bool(one.becomes) for one in entries)
    assert not any(one.tag or one.entry for one in entries if one.state not in ("declared", "bound"))


SITE = """nexus: 1
enterprise: acme
site: s
areas:
  a:   # the first
    lines:
      l:
        devices:
          scale: {protocol: external, tags: {weight: {type: float64}}}  # by hand
"""


def test_the_edit_adds_tags_and_moves_and_leaves_the_rest() -> None:
    paths = ["a/l/scale/x", "a/l/new/x", "a/l/new/y", "a/m/d/x", "b/l/d/x", "b/l/d/y"]
    entries = series_entries([series(path) for path in paths], Choices(declare=("**",)), around())
    moved = end(series("a/l/old/x"), Choices(moves=(("a/l/old/x", "a/l/scale/w"),)), around("a/l/scale/w"))
    after = written(SITE, [*entries, moved])
    assert "# the first" in after and "# by hand" in after
    document = Document(after)
    for path in paths:
        area, line, device, tag = path.split("/")
        assert document.value(("areas", area, "lines", line, "devices", device, "tags", tag)) == {"type": "float64"}
    assert document.value(("moved",)) == [{"from": "a/l/old/x", "to": "a/l/scale/w"}]
    again = written(after, [moved])
    assert len(Document(again).value(("moved",))) == 2, (
        "an entry that is there is not made: `series_entries` sees to it"
    )
