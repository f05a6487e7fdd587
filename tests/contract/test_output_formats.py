"""Every format of `nexus validate` keeps its contract: JSON (Terraform's names), SARIF 2.1.0, GitHub annotations."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from nexus_cli.cli.views.findings import document, text
from nexus_cli.cli.views.github import annotations, summary
from nexus_cli.cli.views.sarif import sarif, uri
from nexus_cli.diagnostics import Diagnostic, Place
from nexus_cli.diagnostics.codes import finding
from nexus_cli.project.text import facts, read
from tests.real_data import DATA
from tests.sessions import run_inside

ROOT = Path(__file__).parents[2]
SARIF_SCHEMA = DATA / "suite-sarif/src/Sarif/Schemata/sarif-2.1.0.json"
CASES = sorted(path for path in (ROOT / "tests/cases").iterdir() if (path / "site.yaml").is_file())

VALIDATION = {
    "type": "object",
    "required": ["format_version", "valid", "error_count", "warning_count", "diagnostics"],
    "properties": {
        "valid": {"type": "boolean"},
        "diagnostics": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["severity", "summary", "detail", "code"],
                "properties": {
                    "severity": {"enum": ["error", "warning", "info"]},
                    "range": {
                        "type": "object",
                        "required": ["filename", "start", "end"],
                        "properties": {"start": {"$ref": "#/definitions/point"}, "end": {"$ref": "#/definitions/point"}},
                    },
                    "snippet": {
                        "type": "object",
                        "required": [
                            "context", "code", "start_line", "highlight_start_offset", "highlight_end_offset", "values",
                        ],
                    },
                },
            },
        },
    },
    "definitions": {
        "point": {
            "type": "object",
            "required": ["line", "column", "byte"],
            "additionalProperties": {"type": "integer", "minimum": 0},
        }
    },
}  # fmt: skip


def plain(words: str, _style: str) -> str:
    return words


def answer_of(folder: Path) -> dict[str, Any]:
    reading = read(folder / "site.yaml")
    return document(reading.findings, reading.files, site=facts(reading))


@pytest.mark.parametrize("folder", CASES, ids=lambda path: path.name)
def test_every_case_in_every_format(folder: Path) -> None:
    answer = json.loads(json.dumps(answer_of(folder)))
    jsonschema.Draft7Validator(VALIDATION).validate(answer)
    assert answer["valid"] == (answer["error_count"] == 0)
    for item in answer["diagnostics"]:
        if "range" in item and "snippet" in item:
            data = Path(item["range"]["filename"]).read_bytes()
            start = item["range"]["start"]
            line = data[: start["byte"]].count(b"\n") + 1
            if b"\r" not in data and folder.name[:6] not in ("NX0002", "NX0003"):
                assert line == start["line"]
    shown = text(answer, style=plain)
    assert all(item["summary"] in shown for item in answer["diagnostics"][:100])
    log = sarif(answer)
    assert len(log["runs"][0]["results"]) == len(answer["diagnostics"])
    for line in annotations(answer).splitlines():
        assert line.startswith(("::error ", "::warning ", "::notice "))


def test_sarif_against_its_schema() -> None:
    if not SARIF_SCHEMA.is_file():
        pytest.skip(f"the SARIF schema is not at {SARIF_SCHEMA}")
    schema = json.loads(SARIF_SCHEMA.read_text(encoding="utf-8"))
    validator = jsonschema.validators.validator_for(schema)(schema)
    for folder in CASES:
        validator.validate(sarif(answer_of(folder)))
    validator.validate(sarif(document([])))


def test_sarif_of_nothing_has_results() -> None:
    assert sarif(document([]))["runs"][0]["results"] == []


def test_sarif_takes_25000_results_errors_first() -> None:
    many = [finding("NX0034", f"w {number}") for number in range(25_000)] + [finding("NX0012", "the error")]
    results = sarif(document(many))["runs"][0]["results"]
    assert len(results) == 25_000
    assert results[0]["level"] == "error"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sites/demo/site.yaml", "sites/demo/site.yaml"),
        ("a b\\c#d.yaml", "a%20b/c%23d.yaml"),
        ("/abs/s.yaml", "file:///abs/s.yaml"),
        ("C:\\x\\s.yaml", "file:///C:/x/s.yaml"),
    ],
)
def test_uris(name: str, expected: str) -> None:
    assert uri(name) == expected


def placed(message: str, number: int = 1, code: str = "NX0012") -> Diagnostic:
    return finding(code, message, place=Place("a,b:c.yaml", number, 2, number, 5), hint="50% off\nnow")


def test_github_escapes() -> None:
    line = annotations(document([placed("bad\r\n100%")]))
    assert line == (
        "::error file=a%2Cb%3Ac.yaml,line=1,col=2,endLine=1,endColumn=5,title=NX0012::bad%0D%0A100%25%0A50%25 off%0Anow"
    )


def test_github_shows_ten_of_each_severity() -> None:
    found = [placed(f"m{number}", number) for number in range(1, 26)]
    found += [placed(f"w{number}", number, "NX0034") for number in range(1, 11)]
    lines = annotations(document(found)).splitlines()
    assert len(lines) == 20
    assert lines[9] == "::error title=nexus::16 more error findings; the job's summary lists them"
    assert all(line.startswith("::warning file=") for line in lines[10:])
    table = summary(document(found))
    assert table.count("\n| error |") == 25 and "m25" in table


def test_github_summary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    (tmp_path / "site.yaml").write_text("nexus: 1\nnexus: 1\n")
    step = run_inside("nexus validate site.yaml --format github", cwd=tmp_path)
    assert step.code == 1 and "title=NX0012" in step.expected
    assert "| NX0012 |" in (tmp_path / "summary.md").read_text(encoding="utf-8")


def test_warnings_fail_with_strict(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("nexus: 1\nenterprise: a\nsite: b\ninclude: ['x/*.yaml']\n")
    assert run_inside("nexus validate --format json", cwd=tmp_path).code == 0
    strict = run_inside("nexus validate --strict --format json", cwd=tmp_path)
    assert strict.code == 1 and json.loads(strict.expected)["valid"] is False


def test_bytes_count_utf8(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("# °°\nä: 1\nä: 2\n", encoding="utf-8")
    reading = read(path)
    found = next(item for item in document(reading.findings, reading.files)["diagnostics"] if item["code"] == "NX0012")
    assert found["range"]["start"] == {"line": 3, "column": 1, "byte": len("# °°\nä: 1\n".encode())}


def test_long_lines_are_cut_around_the_finding() -> None:
    code = "x" * 300 + "HERE" + "y" * 300
    item = {
        "severity": "error", "code": "NX0012", "summary": "s", "detail": "",
        "range": {"filename": "f", "start": {"line": 1, "column": 301}, "end": {"line": 1, "column": 305}},
        "snippet": {"code": code, "start_line": 1, "highlight_start_offset": 300, "highlight_end_offset": 304},
    }  # fmt: skip
    answer = {"diagnostics": [item], "error_count": 1, "warning_count": 0, "site": None, "valid": False}
    lines = text(answer, style=plain).splitlines()
    excerpt, carets = next((a, b) for a, b in itertools.pairwise(lines) if "^" in b)
    start = carets.index("^")
    assert excerpt[start : start + 4] == "HERE" and carets.count("^") == 4
    assert len(excerpt) < 130


def test_plain_text_secrets_are_not_quoted(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("c: {password: 'hunter2', password: hunter3, token: ${env:T}}\n", encoding="utf-8")
    reading = read(path)
    shown = json.dumps(document(reading.findings, reading.files))
    assert "NX0012" in shown and "hunter" not in shown and "${env:T}" in shown
