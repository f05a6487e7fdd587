"""Laws of the text: reading never raises, and every finding's place lies inside its file."""

from __future__ import annotations

import os
import random
import tempfile
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nexus_cli.diagnostics import Diagnostic
from nexus_cli.project.text import load, read
from nexus_cli.source.nodes import Map, Seq, SourceFile, unpack
from nexus_cli.source.reader import Reader
from tests.examples import examples
from tests.mutation import mutations

SITES = Path(__file__).parent.parent.parent / "sites"
SEEDS = sorted(path.read_bytes() for path in [*SITES.glob("demo/**/*.yaml"), *SITES.glob("meter-and-drive/**/*.yaml")])
FRAGMENTS = [
    b"${var:x}", b"${", b"}", b"&a ", b"*a", b"<<: ", b"!!int ", b"\t", b"\x00", b"\xff", b"\xef\xbb\xbf", b"---\n", b"...\n",
    b"null", b"~", b"[", b"{", b"]", b": ", b"- ", b"'", b'"', b"|\n", b"# nexus:ignore NX2203 -- x\n", b"1e999", b"\r", b"? ",
    b"\xe2\x80\xa8", "°".encode(), "\U0001f600".encode(), b"template: x", b"include: [site.yaml]\n", b"0", b"-1", b"%YAML 3.0\n",
]  # fmt: skip


def check_places(findings: tuple[Diagnostic, ...], texts: dict[str, SourceFile]) -> None:
    for item in findings:
        for place in [item.place, *(note.place for note in item.related)]:
            if place is None:
                continue
            file = texts[place.file]
            assert 1 <= place.line <= len(file.starts), item
            assert 1 <= place.column <= len(file.line(place.line)) + 3, item  # a line's end counts with it
            assert (place.end_line, place.end_column) >= (place.line, place.column), item
            assert place.end_line <= len(file.starts), item


def read_bytes(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "site.yaml"
        path.write_bytes(data)
        reading = read(path)
        check_places(reading.findings, {file.name: file for file in reading.files})
        assert reading.tree is not None or any(item.severity == "error" for item in reading.findings)


@settings(max_examples=examples(300), deadline=None)
@given(st.binary(max_size=200))
@example(b"\xff\xfe")
@example(b"\xff\xfe\x00\x00")
@example(b"a: \xed\xa0\x80")
@example(b"a: !<x y\n")
@example(b"? \n? \n")
@example(b"a: &a\n  *a : 1\n")
def test_any_bytes_are_read_without_raising(data: bytes) -> None:
    read_bytes(data)


@settings(max_examples=examples(200), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from([*FRAGMENTS, b"a", b"areas", b": {", b"}", b"\n", b"  ", b"devices"]), max_size=60))
def test_yaml_like_soup_is_read_without_raising(parts: list[bytes]) -> None:
    read_bytes(b"".join(parts))


def test_mutated_sites_are_read_without_raising() -> None:
    seed = random.Random().getrandbits(32) if not os.environ.get("CI") else 20
    for number in range(mutations(150)):
        try:
            read_bytes(mutated(random.Random(f"{seed} {number}")))
        except Exception as error:
            raise AssertionError(f"seed '{seed} {number}': {type(error).__name__}: {error}") from error


def mutated(rng: random.Random) -> bytes:
    """A site file with a few bytes cut, doubled, swapped or put in."""
    data = bytearray(rng.choice(SEEDS))
    for _ in range(rng.randint(1, 6)):
        position = rng.randrange(len(data) + 1)
        length = rng.choice([1, 1, 2, 5, 20, 80])
        match rng.randrange(4):
            case 0:
                del data[position : position + length]
            case 1:
                data[position:position] = rng.choice(FRAGMENTS)
            case 2:
                data[position:position] = data[position : position + length]
            case _:
                other = rng.randrange(len(data) + 1)
                data[position : position + length] = data[other : other + length]
    return bytes(data)


@settings(max_examples=examples(200), deadline=None)
@given(
    st.text(max_size=60).filter(lambda text: text.isprintable()),
    st.text(alphabet="äaß☃\U0001f600z", min_size=1, max_size=8),
)
def test_marks_point_at_their_text(value: str, key: str) -> None:
    quoted = "'" + value.replace("'", "''") + "'"
    text = f"# {key}\n{key}: {{k: {quoted}}}\nlist: [{quoted}, {quoted}]\n"
    reader = Reader(SourceFile(number=5, name="x", path=Path("x"), text=text))
    root = reader.read()
    assert isinstance(root, Map) and not reader.findings
    file, start, _ = unpack(root.marks[key])
    assert file == 5 and text[start : start + len(key)] == key
    _, _, inner = unpack(root[key].marks["k"])
    assert text[inner : inner + len(quoted)] == quoted and root[key]["k"] == value
    items = root["list"]
    assert isinstance(items, Seq) and list(items) == [value, value]
    assert all(text[unpack(mark)[2] :].startswith(quoted) for mark in items.marks)


LEAVES = st.sampled_from(
    [None, True, 0, -1, 3, 2**63, 1.5, "", "x", "t", "1s", "float32", "modbus", "external", "input:0", "${var:v}", "${param:u}",
     "a${var:v}b", "${env:X}", "${file:/x}", "${", "integer", "*/*", "a/l/d/x"]
)  # fmt: skip
WORDS = st.sampled_from(
    ["areas", "lines", "devices", "tags", "calculated", "template", "with", "templates", "parameters", "connection", "defaults",
     "vars", "v", "u", "a", "l", "d", "x", "t", "type", "default", "poll", "protocol", "address", "enabled", "host", "include",
     "labels", "expr", "range", "values", "gateways", "select", "access", "roles", "users", "alerts", "moved", "retention", "keep",
     "nexus", "enterprise", "site", "simulate", "signal", "deadband", "unit", 0, 7]
)  # fmt: skip
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4), max_leaves=25
)


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Trees that reach down to devices and tags, where the rules are."""
    device = st.fixed_dictionaries(
        {}, optional={"template": st.sampled_from(["t", "u", 3]), "with": inner, "tags": st.dictionaries(WORDS, inner, max_size=3),
                      "connection": inner, "protocol": st.sampled_from(["modbus", "external", "opcua", 5]), "poll": inner,
                      "calculated": inner, "enabled": inner, "labels": inner}
    )  # fmt: skip
    devices = st.dictionaries(st.sampled_from(["d", "e", 1]), device | inner, max_size=3)
    line = st.fixed_dictionaries({"devices": devices}, optional={"defaults": inner})
    area = st.fixed_dictionaries({"lines": st.fixed_dictionaries({"l": line | inner})}, optional={"defaults": inner})
    template = st.fixed_dictionaries(
        {}, optional={"protocol": st.just("modbus"), "parameters": st.dictionaries(st.just("u"), inner, max_size=1) | inner,
                      "tags": st.dictionaries(WORDS, inner, max_size=3) | inner, "connection": inner, "poll": inner}
    )  # fmt: skip
    return st.fixed_dictionaries(
        {"areas": st.fixed_dictionaries({"a": area | inner})},
        optional={
            "templates": st.fixed_dictionaries({"t": template | inner}), "vars": st.dictionaries(st.just("v"), inner) | inner,
            "defaults": inner, "gateways": inner, "retention": inner, "access": inner, "alerts": inner, "moved": inner,
            "include": st.sampled_from([["more.yaml"], ["*.yaml"], [3], {}, "x"]),
        },
    )  # fmt: skip


@settings(
    max_examples=examples(250), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(nested(TREES), nested(TREES) | TREES, nested(TREES) | TREES)
def test_odd_structures_are_read_without_raising(site: Any, more: Any, overlay: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        (base / "env").mkdir()
        head = {"nexus": 1, "enterprise": "e", "site": "s"}
        (base / "site.yaml").write_text(yaml.safe_dump({**head, **site}), encoding="utf-8")
        (base / "more.yaml").write_text(yaml.safe_dump(more), encoding="utf-8")
        (base / "env/p.yaml").write_text(yaml.safe_dump(overlay), encoding="utf-8")
        reading = read(base / "site.yaml", env="p", variables={"v": "1"})
        check_places(reading.findings, {file.name: file for file in reading.files})
        load(base / "site.yaml", env="p", variables={"v": "1"})
