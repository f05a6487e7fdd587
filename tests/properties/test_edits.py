"""Laws of edits: they change what was asked, and no other byte, value or comment of the file.

The oracle builds a file from pieces and knows them: what an edit may touch is one piece, all others must come out as
they went in. Values and places are never asked of the code under test.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_cli.source.document import Document, DocumentError
from nexus_cli.source.edit import styled
from tests.examples import examples

PATH = ("areas", "a", "devices", "d", "tags")
COMMENT = re.compile(r"# c\d+")
VALUES = st.sampled_from([
    ["{address: 'input:1', type: int16}"],
    ["{address: 'input:1',   type: int16 }"],
    ["{ # c0", "        address: 'input:1',  # c0", "        type: int16}"],
    ["{address: 'input:1',", "        # c0", "        type: int16,", "      }"],
    ["", "        address: 'input:1'   # c0", "        # c0", "        type: int16"],
    ["", "        type: int16", "        description: |  # c0", "          two # no", "", "          lines"],
    ["", "        type: int16", "        description: >-", "          a # no"],
    ["", "        type: 'int16'", "        range:", "        - 1  # c0", "        - 2"],
    ["{type: int16, description: \"# no: '\"}"],
    ["", "        type: &kind int16", "        unit: *kind"],
])  # fmt: skip


@dataclass(frozen=True)
class File:
    """A file in pieces: what is before the tags, one text a tag, what is behind them."""

    head: str
    tags: dict[str, str]
    tail: str

    @property
    def text(self) -> str:
        return self.head + "".join(self.tags.values()) + self.tail


@st.composite
def files(draw: st.DrawFn) -> File:
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    count = iter(range(1, 1000))

    def numbered(line: str) -> str:
        return re.sub("# c0", lambda _: f"# c{next(count)}", line) + newline

    head = [
        "# c0", "nexus: 1", "areas:   # c0", "  a:", "   devices:", "    d:", "     protocol: modbus  # c0", "     tags:",
    ]  # fmt: skip
    head_text = "".join(numbered(line) for line in head)
    tags = {}
    for number in range(draw(st.integers(1, 4))):
        value = draw(VALUES)
        comment = draw(st.sampled_from(["", "", "   # c0"])) if "|" not in "".join(value) else ""
        lines = [f"      t{number}: {value[0]}".rstrip(), *value[1:]]
        lines[-1] += comment
        tags[f"t{number}"] = "".join(numbered(line.replace("kind", f"kind{number}")) for line in lines)
    tail = draw(st.sampled_from([[], ["      # c0"], ["", "# c0"], ["    e: {tags: {}}  # c0"], ["site: x"]]))
    return File(head_text, tags, "".join(numbered(line) for line in tail))


def values(text: str) -> Any:
    return yaml.safe_load(text)


def tags_of(read: Any) -> Any:
    for name in PATH:
        read = read[name]
    return read


def comments(text: str) -> list[str]:
    return COMMENT.findall(text)


@settings(max_examples=examples(80), deadline=None)
@given(files(), st.sampled_from(["new", "n-2"]))
def test_an_added_entry_is_one_insertion(file: File, name: str) -> None:
    document = Document(file.text)
    document.add(PATH, {name: {"address": "input:9"}})
    after = document.text()
    added = [line for line in after.splitlines(keepends=True) if name + ":" in line]
    assert len(added) == 1
    assert after.replace(added[0], "") == file.text
    assert tags_of(values(after)) == {**tags_of(values(file.text)), name: {"address": "input:9"}}


@settings(max_examples=examples(80), deadline=None)
@given(files(), st.data())
def test_a_removed_entry_takes_its_own_lines_alone(file: File, data: st.DataObject) -> None:
    gone = data.draw(st.sets(st.sampled_from(sorted(file.tags)), min_size=1, max_size=max(1, len(file.tags) - 1)))
    if len(gone) == len(file.tags):
        return
    document = Document(file.text)
    document.remove(PATH, sorted(gone))
    left = {name: text for name, text in file.tags.items() if name not in gone}
    assert document.text() == File(file.head, left, file.tail).text


@settings(max_examples=examples(80), deadline=None)
@given(files(), st.data())
def test_a_value_that_is_set_changes_its_tag_alone_or_is_refused(file: File, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(file.tags)))
    key = data.draw(st.sampled_from(["type", "unit", "range"]))
    document = Document(file.text)
    before = values(file.text)
    try:
        document.set((*PATH, name, key), "x")
    except DocumentError as error:
        assert "comments" in str(error) or "elsewhere" in str(error) or "alias" in str(error)
        assert document.text() == file.text
        return
    after = document.text()
    tags_of(before)[name][key] = "x"
    assert values(after) == before
    assert comments(after) == comments(file.text)
    assert after.startswith(file.text[: file.text.index(file.tags[name])])
    rest = file.text[file.text.index(file.tags[name]) + len(file.tags[name]) :]
    assert after.endswith(rest)
    untouched = [line for line in file.tags[name].splitlines() if f"{key}:" not in line]
    if "{" not in file.tags[name]:
        middle = after[file.text.index(file.tags[name]) : len(after) - len(rest)]
        assert [line for line in middle.splitlines() if line in untouched] == untouched


FLOWS = st.lists(
    st.sampled_from(["{a: 1}", "{a: 1,  b: 2}", "{}", "{ # c0\n    a: 1}", "{a: [1,\n    # c0\n    2]}"]),
    min_size=1,
    max_size=4,
)


@settings(max_examples=examples(80), deadline=None)
@given(FLOWS, st.booleans(), st.booleans(), st.data())
def test_entries_of_a_map_in_braces_go_with_their_lines(
    held: list[str], comma: bool, own_lines: bool, data: st.DataObject
) -> None:
    count = iter(range(1, 1000))
    texts = [re.sub("# c0", lambda _: f"# c{next(count)}", f"t{number}: {text}") for number, text in enumerate(held)]
    last = len(texts) - 1
    if own_lines:
        lines = [f"  {text}{',' if comma or n < last else ''}  # c{100 + n}\n" for n, text in enumerate(texts)]
        text = "top: {   # c90\n" + "".join(lines) + "  # c91\n  }\n# c92\n"
    else:
        text = "top: {" + ", ".join(texts) + ("," if comma else "") + "}  # c90\n"
    gone = data.draw(st.sets(st.integers(0, last)))
    document = Document(text)
    document.remove(("top",), [f"t{number}" for number in gone])
    after = document.text()
    expected = values(text)
    for number in gone:
        del expected["top"][f"t{number}"]
    assert values(after) == expected
    theirs = {mark for number in gone for mark in comments(texts[number] + (f"# c{100 + number}" if own_lines else ""))}
    assert comments(after) == [mark for mark in comments(text) if mark not in theirs]
    document.apply_edits()
    document.add(("top",), {"x": {"k": 1}})
    document.add(("top",), {"y": 2})
    grown = document.text()
    assert values(grown)["top"] == {**expected["top"], "x": {"k": 1}, "y": 2}
    assert comments(grown) == comments(after)
    assert [line for line in after.splitlines() if line not in grown.splitlines()][1:] == []


@settings(max_examples=examples(150), deadline=None)
@given(files(), st.booleans(), st.booleans(), st.data())
def test_fmt_moves_white_space_alone(file: File, mark: bool, ended: bool, data: st.DataObject) -> None:
    lines = file.text.splitlines(keepends=True)
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(lines)))
        lines.insert(at, data.draw(st.sampled_from(["\n", "   \n", "# c500\n", "          # c501\n"])))
    text = "".join(lines)
    text = text if ended else text.rstrip("\r\n")
    mixed = "\r\n" in text
    data_in = ("\ufeff" if mark else "").encode() + text.encode()
    outcome = styled(data_in, name="x").value
    if outcome is None:
        return  # a line that was put into a text in quotes or the like
    after = outcome.text
    assert after.startswith("\ufeff") == mark
    bare = after.removeprefix("\ufeff")
    assert "".join(bare.split()) == "".join(text.split())
    assert comments(bare) == comments(text)
    assert values(bare) == values(text)
    if mixed and not outcome.kept and text.count("\r\n") * 2 > text.count("\n"):
        assert bare.count("\n") == bare.count("\r\n")
    again = styled(after.encode(), name="x").value
    assert again is not None and again.text == after


@pytest.mark.parametrize(
    ("text", "edit", "words"),
    [
        ("one: {tags: &t {a: {x: 1}}}\ntwo: {tags: *t}\n", ("add", ("two", "tags")), "alias '*t'"),
        ("one: {tags: &t {a: {x: 1}}}\ntwo: {tags: *t}\n", ("add", ("one", "tags")), "used elsewhere as '*t'"),
        ("one: {tags: &t {a: {x: 1}}}\ntwo: {tags: *t}\n", ("add", ("two", "tags", "a")), "alias '*t'"),
        ("base: &b {x: 1}\none:\n  <<: *b\n  tags: {}\n", ("add", ("one", "tags")), "'<<'"),
        ("one: {a: &v 5}\ntwo: {b: *v}\n", ("set", ("two", "b")), "alias '*v'"),
        ("one: {a: &v 5}\ntwo: {b: *v}\n", ("set", ("one", "a")), "used elsewhere"),
        ("one: {a: &v 5}\ntwo: {b: *v}\n", ("remove", ("one",)), "'one.a' is used elsewhere"),
        ("one:\n  d: |\n    text", ("add", ("one",)), "no line break"),
        ("one: {a: {x: 1, # why\n  y: 2}}\n", ("set", ("one", "a")), "comments that would be lost"),
    ],
)
def test_what_would_touch_another_place_is_refused(text: str, edit: tuple[str, tuple[str, ...]], words: str) -> None:
    document = Document(text)
    name, path = edit
    with pytest.raises(DocumentError, match=re.escape(words)):
        if name == "add":
            document.add(path, {"new": {"x": 2}})
        elif name == "set":
            document.set(path, 7)
        else:
            document.remove(path, ["a"])
    assert document.text() == text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("topics:\n- a  # first\n- b\nx: 1\n", "topics:\n- a  # first\n- b\n- c\nx: 1\n"),
        ("topics: [a, b]  # both\n", "topics: [a, b, c]  # both\n"),
        ("topics: []\n", "topics: [c]\n"),
        ("x: 1\n", "x: 1\ntopics: [c]\n"),
    ],
)
def test_a_list_grows_at_its_end(before: str, after: str) -> None:
    document = Document(before)
    document.extend(("topics",), ["c"])
    assert document.text() == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("topics:\n- a\n- b\nx: 1\n", "topics: [z]\nx: 1\n"),
        ("topics: &x\n  - a\nx: 1\n", None),
        ("a:\n  tags:   # see: below\n  x: 1\n", None),
    ],
)
def test_a_value_is_replaced_where_it_stands(before: str, after: str | None) -> None:
    document = Document(before)
    if after is not None:
        document.set(("topics",), ["z"])
        assert document.text() == after
    elif before.startswith("a"):
        document.add(("a", "tags"), {"v": 1})
        assert document.text() == "a:\n  tags:   # see: below\n    v: 1\n  x: 1\n"
    else:
        document.set(("topics",), ["z"])
        assert values(document.text()) == {"topics": ["z"], "x": 1}


def test_the_last_entry_of_a_file_without_a_final_line_break_goes_whole() -> None:
    document = Document("a:\n  x: 1\n  d: |\n    text")
    document.remove(("a",), ["d"])
    assert document.text() == "a:\n  x: 1\n"
