"""`init`, `fmt`, `schema`, `explain`, and what a command may import."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nexus_cli.diagnostics.codes import catalogue
from nexus_cli.project.schema import code_pages, schema_files, stale
from nexus_cli.source.edit import formatted
from tests.sessions import run_inside

ROOT = Path(__file__).parents[3]
ALWAYS_HEAVY = (
    "rich",
    "sqlalchemy",
    "asyncpg",
    "alembic",
    "websockets",
    "httpx",
    "fastapi",
    "uvicorn",
    "ruamel",
    "pint",
)


def imported(*command: str, cwd: Path) -> set[str]:
    """Top-level modules that a command has imported when it ends."""
    code = (
        "import sys\nfrom nexus_cli.cli.main import cli\n"
        f"try:\n    cli.main({list(command)!r}, standalone_mode=False)\nexcept SystemExit:\n    pass\n"
        "sys.stderr.write('\\n'.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, timeout=60, check=True)
    return set(done.stderr.split())


def test_help_imports_click_and_nothing_else() -> None:
    modules = imported("--help", cwd=ROOT)
    outside = {"yaml", "pydantic", "msgspec", "orjson", "rich", "sqlalchemy", "httpx", "websockets", "numpy", "asyncio"}
    assert not outside & modules
    assert {name for name in modules if name.startswith("nexus_cli.")} <= {
        "nexus_cli.cli", "nexus_cli.cli.arguments", "nexus_cli.cli.main", "nexus_cli.cli.exit_help", "nexus_cli.cli.streams",
        "nexus_cli.exit_codes",
    }  # fmt: skip


def test_validate_imports_no_runtime() -> None:
    modules = imported("validate", "sites/meter-and-drive", cwd=ROOT)
    assert not set(ALWAYS_HEAVY) - {"pint"} & modules
    assert not {"pymodbus", "asyncua", "snap7", "pyads"} & modules


def test_init_validates_and_leaves_an_existing_site_alone(tmp_path: Path) -> None:
    assert run_inside("nexus init new", cwd=tmp_path).code == 0
    step = run_inside("nexus validate new --strict", cwd=tmp_path)
    assert (step.code, step.expected) == (0, "Valid. acme/new: 1 device, 2 tags.")
    text = (tmp_path / "new/site.yaml").read_text(encoding="utf-8")
    schema = text.splitlines()[0].partition("$schema=")[2]
    assert json.loads((tmp_path / "new" / schema).read_text(encoding="utf-8"))["title"]
    with pytest.raises(Exception, match="exists already"):
        run_inside("nexus init new", cwd=tmp_path)
    assert (tmp_path / "new/site.yaml").read_text(encoding="utf-8") == text


def test_init_names_the_site_after_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "My Plant (2)!"
    folder.mkdir()
    assert run_inside("nexus init", cwd=folder).code == 0
    assert "site: my-plant-2 " in (folder / "site.yaml").read_text(encoding="utf-8")
    assert run_inside("nexus validate", cwd=folder).code == 0


UGLY = """\
# top
nexus:   1    # version


areas:
      packaging:   {lines:   {}}
list:
- a
-   b
tag: {order: ABCD,   range: [0,   1], nothing: null, octal: 0o17}   # keep
text: |
   two

   lines
"""
NEAT = """\
# top
nexus: 1      # version

areas:
  packaging: {lines: {}}
list:
  - a
  - b
tag: {order: ABCD, range: [0, 1], nothing: null, octal: 0o17}       # keep
text: |
  two

  lines
"""


def test_fmt_keeps_comments_order_and_values() -> None:
    once = formatted(UGLY.encode(), name="x.yaml").unwrap()
    assert once == NEAT
    assert formatted(once.encode(), name="x.yaml").unwrap() == once


@pytest.mark.parametrize("path", sorted((ROOT / "sites").glob("[!p]*/**/*.yaml")), ids=lambda path: path.stem)
def test_fmt_is_stable_on_the_shipped_sites(path: Path) -> None:
    once = formatted(path.read_bytes(), name=path.name).unwrap()
    assert formatted(once.encode(), name=path.name).unwrap() == once


def test_fmt_commands(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(UGLY, encoding="utf-8")
    path.chmod(0o640)
    (tmp_path / "bad.yaml").write_text("a: [\n", encoding="utf-8")
    check = run_inside("nexus fmt --check site.yaml", cwd=tmp_path)
    assert (check.code, check.expected) == (1, "would change site.yaml")
    diff = run_inside("nexus fmt --diff site.yaml", cwd=tmp_path)
    assert diff.code == 1 and "+areas" not in diff.expected and "+  packaging: {lines: {}}" in diff.expected
    assert path.read_text(encoding="utf-8") == UGLY
    broken = run_inside("nexus fmt .", cwd=tmp_path)
    assert broken.code == 1 and "NX0010" in broken.expected
    assert path.read_text(encoding="utf-8") == NEAT and path.stat().st_mode & 0o777 == 0o640
    assert run_inside("nexus fmt site.yaml", cwd=tmp_path).expected == "1 file, all in order"


def test_fmt_does_not_touch_what_would_change_meaning() -> None:
    text = 'a: "x  \\\n  y"\nb: |+\n  keep\n\n\n\nc: 1\n'
    outcome = formatted(text.encode(), name="x.yaml")
    assert outcome.unwrap().count("\n\n") >= 1
    assert formatted(b"a:  1\r\nb: 2", name="x").unwrap() == "a: 1\r\nb: 2\r\n"
    assert formatted(b"\xef\xbb\xbfa:  1\n", name="x").unwrap() == "\ufeffa: 1\n"
    assert formatted(b"# only a comment", name="x").unwrap() == "# only a comment\n"


def test_schemas_are_fresh() -> None:
    assert stale(ROOT / "schemas", schema_files()) == [], "run: nexus schema"


def test_code_pages_are_fresh() -> None:
    assert stale(ROOT / "docs/codes", code_pages()) == [], "run: nexus schema --docs docs/codes"


def test_schema_check_and_write(tmp_path: Path) -> None:
    assert run_inside("nexus schema --check", cwd=tmp_path).code == 1
    assert not (tmp_path / "schemas").exists()
    assert run_inside("nexus schema", cwd=tmp_path).code == 0
    (tmp_path / "schemas/old.schema.json").write_text("{}")
    assert run_inside("nexus schema --check", cwd=tmp_path).expected == "stale schemas/old.schema.json"
    assert run_inside("nexus schema", cwd=tmp_path).code == 0
    assert run_inside("nexus schema --check", cwd=tmp_path).code == 0


@pytest.mark.parametrize("code", sorted(catalogue()))
def test_every_code_explains_itself(code: str) -> None:
    step = run_inside(f"nexus explain {code.lower()}", cwd=ROOT)
    assert step.code == 0 and catalogue()[code].summary in step.expected


def test_explain_of_unknown_things(tmp_path: Path) -> None:
    assert run_inside("nexus explain NX0o12", cwd=tmp_path).code == 64
    assert run_inside("nexus explain a/b/c/d", cwd=tmp_path).code == 1
    step = run_inside("nexus explain acme/springfield/bottling/line-1/conveyor --site sites/demo", cwd=ROOT)
    assert step.code == 1 and "is a device, not a tag" in step.expected


def test_explain_as_json() -> None:
    step = run_inside("nexus explain bottling/line-1/conveyor/speed --site sites/demo --format json", cwd=ROOT)
    steps = {item["step"]: item["text"] for item in json.loads(step.expected)["steps"]}
    assert steps["scaled"] == "raw * 0.1 + 0"
    assert steps["topic"] == "acme/springfield/bottling/line-1/conveyor/speed"
    assert steps["request"].startswith("FC3 holding ")


@pytest.mark.parametrize("site", ["demo", "meter-and-drive", "boilers"])
def test_every_tag_of_the_shipped_sites_can_be_explained(site: str) -> None:
    from nexus_cli.project.explain import _chain
    from nexus_cli.project.text import load

    loaded = load(ROOT / "sites" / site).unwrap()
    from nexus_cli.model.config import device_from_json

    for _, attributes in loaded.snapshot.of_kind("device"):
        device = device_from_json(attributes)
        for name in device.tags:
            chain = _chain(loaded, device, name)
            steps = dict(chain.steps)
            assert chain.file.partition(":")[0].endswith(".yaml") and chain.excerpt
            assert steps["topic"].endswith(f"{device.path}/{name}")
            assert steps["row"] and ("request" in steps or "computed" in steps or "source" in steps)


def test_who_waits_for_more_of_a_value_that_stands_still_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from nexus_cli.cli.commands import tail as command
    from nexus_cli.project.live_value import Live

    told: list[str] = []

    async def one_and_no_more(*_: object, **__: object) -> AsyncIterator[Live]:
        yield Live(topic="t", path="a/l/one/t", value=None, quality="BAD")
        while not told:
            await asyncio.sleep(0.01)

    monkeypatch.setattr(command, "STILL_S", 0.05)
    monkeypatch.setattr(command, "note", told.append)
    monkeypatch.setattr(command, "tail", one_and_no_more)
    result = CliRunner().invoke(command.command, ["a/l/one/t", "--count", "3"], standalone_mode=False)
    assert result.exception is None, result.exception
    assert told == ["1 of 3 so far; an unchanged value is not published again (--for 30s ends it)"]
