"""Findings of a generated file: one line of megabytes with a mistake in every tag costs what its length costs, once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.cli.views import excerpt
from nexus_cli.cli.views.excerpt import WHOLE, masked_line
from nexus_cli.cli.views.findings import document, text
from nexus_cli.model.bind import _tree, _without
from nexus_cli.project.text import read
from nexus_cli.source.nodes import SourceFile

HEAD = "nexus: 1\nenterprise: acme\nsite: p\n"


def written(folder: Path, count: int) -> Path:
    tags = ", ".join(f'ü{n}: {{address: "holding:{n}", type: int61, password: geheim{n}}}' for n in range(count))
    line = "areas: {a: {lines: {l: {devices: {d: {protocol: modbus, connection: {host: 10.0.0.1}, tags: {" + tags
    path = folder / "site.yaml"
    path.write_text(HEAD + line + "}}}}}}}\n", encoding="utf-8")
    return path


def test_a_line_is_masked_once_and_quoted_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    masked: list[int] = []
    real = excerpt.masked_line

    def counted(file: SourceFile, number: int) -> str:
        masked.append(number)
        return real(file, number)

    monkeypatch.setattr(excerpt, "masked_line", counted)
    reading = read(written(tmp_path, 300))
    answer = document(reading.findings, reading.files)
    assert len(answer["diagnostics"]) >= 600
    assert masked.count(4) == 1
    snippets = [item["snippet"] for item in answer["diagnostics"] if item["range"]["start"]["line"] == 4]
    assert max(len(snippet["code"]) for snippet in snippets) <= WHOLE
    for snippet in snippets:
        start, end = snippet["highlight_start_offset"], snippet["highlight_end_offset"]
        assert 0 <= start < end <= len(snippet["code"])
    wrong = [snippet for item, snippet in zip(answer["diagnostics"], snippets, strict=True) if item["code"] == "NX1006"]
    for snippet in wrong:
        assert snippet["code"][snippet["highlight_start_offset"] : snippet["highlight_end_offset"]] == "int61"
    everything = json.dumps(answer) + text(answer, style=lambda words, _name: words)
    assert "geheim" not in everything


def test_byte_offsets_are_those_of_the_encoded_text(tmp_path: Path) -> None:
    path = written(tmp_path, 200)
    reading = read(path)
    data = path.read_bytes()
    for item in document(reading.findings, reading.files)["diagnostics"]:
        if item["code"] == "NX1006":
            assert data[item["range"]["start"]["byte"] : item["range"]["end"]["byte"]] == b"int61"


class _Counted(dict[str, Any]):
    rounds = 0

    def items(self) -> Any:
        type(self).rounds += 1
        return super().items()


def test_what_is_wrong_is_cut_out_in_one_round() -> None:
    tags = _Counted({f"t{n}": {"type": "x", "unit": "V"} for n in range(1000)})
    cuts = [(f"t{n}", "type") for n in range(0, 1000, 2)] + [("t1",), ("t1", "unit")]
    left = _without(tags, _tree(cuts))
    assert _Counted.rounds == 1
    assert "t1" not in left and left["t0"] == {"unit": "V"} and left["t3"] == {"type": "x", "unit": "V"}
    assert _without([1, [2, 3], 4], _tree([(0,), (1, 0)])) == [[3], 4]
    assert _without({"a": 1}, _tree([(), ("a",)])) == {"a": 1}
    assert _without(5, _tree([])) == 5


def places() -> Iterator[tuple[str, str]]:
    yield (
        "a: {password: 'x', b: [1, password: y, c], token: ${env:T}}",
        "a: {password: '*', b: [1, password: *, c], token: ${env:T}}",
    )
    yield "{password: a}, {password: b, x: '}'}, password: c d", "{password: *}, {password: *, x: '}'}, password: ***"


@pytest.mark.parametrize(("line", "shown"), list(places()))
def test_several_secrets_of_a_line_are_starred(line: str, shown: str) -> None:
    assert masked_line(SourceFile(number=0, name="x", path=Path("x"), text=line), 1) == shown
