"""Edits of a text: what is not edited stays byte for byte."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_cli.source.document import Block, Document, DocumentError, flow, scalar
from tests.examples import examples

SITE = """\
# our plant
nexus: 1
areas:
  packaging:   # north
    lines:
      line-1:
        devices:
          filler:
            protocol: opcua   # vendor's server
            connection: {endpoint: "opc.tcp://x:1"}
            tags:
              a:   {node: 's=1',  type: bool}   # by hand
              b:
                node: "s=2"
                type: int16
              # about b

          # the scale
          scale: {protocol: external, tags: {w: {type: float64}}}
          empty:
            tags: {}   # none yet
          nothing:
            tags:   # to come
            poll: 1s
"""
DEVICES = ("areas", "packaging", "lines", "line-1", "devices")


def without(text: str, *lines: str) -> str:
    kept = [line for line in text.splitlines() if line.strip() not in {one.strip() for one in lines}]
    return "\n".join(kept) + "\n"


def test_an_entry_is_added_behind_the_last_one_and_before_the_comments_that_follow() -> None:
    document = Document(SITE)
    document.add((*DEVICES, "filler", "tags"), {"c": {"node": "nsu=u;s=x", "type": "float64", "range": [0, 1.5]}})
    after = document.text()
    added = 'c: {node: "nsu=u;s=x", type: float64, range: [0, 1.5]}'
    assert without(after, added) == SITE
    assert after.index(added) < after.index("# about b")
    assert yaml.safe_load(after)["areas"]["packaging"]["lines"]["line-1"]["devices"]["filler"]["tags"]["c"][
        "range"
    ] == [
        0,
        1.5,
    ]


@pytest.mark.parametrize("device", ["empty", "nothing", "scale"])
def test_empty_and_inline_maps_take_entries(device: str) -> None:
    document = Document(SITE)
    document.add((*DEVICES, device, "tags"), {"v": {"type": "int8"}})
    after = yaml.safe_load(document.text())["areas"]["packaging"]["lines"]["line-1"]["devices"]
    assert after[device]["tags"]["v"] == {"type": "int8"}
    before = yaml.safe_load(SITE)["areas"]["packaging"]["lines"]["line-1"]["devices"]
    del after[device]["tags"]["v"]
    if not after[device]["tags"]:
        after[device]["tags"] = before[device]["tags"]
    assert after == before
    for comment in ("# our plant", "# north", "# by hand", "# none yet", "# to come"):
        assert comment in document.text()


def test_missing_levels_are_made_and_several_edits_of_one_place_keep_their_order() -> None:
    document = Document(SITE)
    document.add(("areas", "new", "lines", "l", "devices"), {"x": Block(protocol="modbus", tags=Block(q={"a": 1}))})
    document.set((*DEVICES, "filler", "tags", "a", "type"), "int8")
    document.set((*DEVICES, "filler", "tags", "a", "unit"), "%")
    document.set((*DEVICES, "filler", "tags", "a", "scale"), 0.1)
    document.set((*DEVICES, "filler", "tags", "b", "unit"), "degC")
    document.add((*DEVICES, "filler", "tags"), {"c": {"type": "bool"}})
    after = document.text()
    assert "a:   {node: 's=1',  type: int8, unit: \"%\", scale: 0.1}   # by hand" in after
    read = yaml.safe_load(after)
    assert read["areas"]["new"]["lines"]["l"]["devices"]["x"] == {"protocol": "modbus", "tags": {"q": {"a": 1}}}
    tags = read["areas"]["packaging"]["lines"]["line-1"]["devices"]["filler"]["tags"]
    assert tags["b"] == {"node": "s=2", "type": "int16", "unit": "degC"}
    assert list(tags) == ["a", "b", "c"]


def test_removed_entries_take_their_lines_and_nothing_else() -> None:
    document = Document(SITE)
    document.remove((*DEVICES, "filler", "tags"), ["b"])
    assert document.text() == without(SITE, "b:", 'node: "s=2"', "type: int16")
    document = Document(SITE)
    document.remove((*DEVICES, "filler", "tags"), ["a", "b"])
    assert yaml.safe_load(document.text())["areas"]["packaging"]["lines"]["line-1"]["devices"]["filler"]["tags"] == {}


@pytest.mark.parametrize("text", ["", "# only a comment\n", "nexus: 1", "nexus: 1\r\nsite: x\r\n"])
def test_a_file_without_areas_gets_them(text: str) -> None:
    document = Document(text)
    document.add(("areas", "a", "lines"), {"l": Block(devices=Block())})
    after = document.text()
    assert after.startswith(text.rstrip("\n"))
    assert yaml.safe_load(after)["areas"] == {"a": {"lines": {"l": {"devices": {}}}}}
    if "\r\n" in text:
        assert after.count("\n") == after.count("\r\n")


def test_what_is_no_map_is_refused() -> None:
    with pytest.raises(DocumentError):
        Document("- a\n")
    with pytest.raises(DocumentError):
        Document("a: [\n")
    with pytest.raises(DocumentError):
        Document("areas: 5\n").add(("areas", "x"), {"y": 1})


def test_block_scalars_keep_their_lines() -> None:
    text = "areas:\n  a:\n    description: |\n      two\n      lines\n  b: {}\n"
    document = Document(text)
    document.set(("areas", "a", "labels"), {"k": "v"})
    read = yaml.safe_load(document.text())
    assert read["areas"]["a"] == {"description": "two\nlines\n", "labels": {"k": "v"}}
    assert read["areas"]["b"] == {}


@given(st.text(max_size=40))
def test_any_text_reads_back(text: str) -> None:
    clean = text.encode("utf-8", "replace").decode()
    assert yaml.safe_load("{k: " + scalar(clean) + "}") == {"k": clean}
    assert yaml.safe_load("k: " + scalar(clean)) == {"k": clean}


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text("ab: #,", max_size=6),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_any_value_reads_back_on_one_line(value: object) -> None:
    assert yaml.safe_load("k: " + flow(value)) == {"k": value}
    assert "\n" not in flow(value)


NAMES = st.sampled_from(["a", "b", "c-1", "d.e"])
STYLES = st.sampled_from(["block", "flow"])


@settings(max_examples=examples(60))
@given(
    st.dictionaries(NAMES, st.dictionaries(NAMES, st.integers(0, 9), max_size=3), max_size=4),
    STYLES,
    st.dictionaries(NAMES.map(lambda n: n + "-new"), st.integers(0, 9), max_size=3),
    NAMES,
)
def test_adding_equals_the_same_in_a_dict(
    held: dict[str, dict[str, int]], style: str, fresh: dict[str, int], where: str
) -> None:
    text = yaml.safe_dump({"top": held, "rest": 1}, default_flow_style=style == "flow", sort_keys=False)
    document = Document(text)
    document.add(("top", where), fresh)
    expected = {name: dict(inner) for name, inner in held.items()}
    if fresh:
        expected.setdefault(where, {}).update(fresh)
    read = yaml.safe_load(document.text())
    assert {name: inner or {} for name, inner in (read["top"] or {}).items()} == expected
    assert read["rest"] == 1
