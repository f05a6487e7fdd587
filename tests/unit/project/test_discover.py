"""What is reported of a device that is there: which tags are there, under what names, and which command writes the others."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.cli.views.discover import ROWS, document, text
from nexus_cli.discover.importers.options import ImportOptions
from nexus_cli.project.discover import Ask, discover
from nexus_cli.settings import Settings

SITE = "nexus: 1\nenterprise: acme\nsite: chicago\ninclude: [areas/*.yaml]\n"
AREA = """areas:
  plant:
    lines:
      l1:
        devices:
          boiler:
            protocol: s7
            connection: {host: 10.0.0.7}
            tags:
              hot: {address: "DB5,REAL2", type: float32}   # her own name
              running: {address: DB5.DBX0.0, type: bool}
"""
BLOCK = """DATA_BLOCK "Boiler"
{ S7_Optimized_Access := 'FALSE' }
VERSION : 0.1
   STRUCT
      Running : Bool;
      Temperature : Real;
      Count : DInt;
   END_STRUCT;
BEGIN
END_DATA_BLOCK
"""


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "areas").mkdir()
    (tmp_path / "site.yaml").write_text(SITE)
    (tmp_path / "areas" / "plant.yaml").write_text(AREA)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(folder: Path, at: str, block: str = BLOCK) -> tuple[list[str], dict[str, Any]]:
    (folder / "boiler.db").write_text(block)
    ask = Ask(
        target="boiler.db", at=at, connection={"host": "10.0.0.7"}, importing=ImportOptions(db_numbers={"Boiler": 5})
    )
    outcome = asyncio.run(discover(ask, settings=Settings(home=folder / ".nexus"), stop=asyncio.Event()))
    found = outcome.value
    assert found is not None, outcome.findings
    result = document(found.proposals, at=ask.at, known=found.known, into=found.into)
    return text(result, skipped=False, diff=False, style=lambda words, _kind: words).splitlines(), result


def test_tags_that_are_there_are_told_with_their_names(plant: Path) -> None:
    lines, result = told(plant, "plant/l1/boiler")
    assert [line for line in lines if line.startswith("plant/l1/boiler")] == [
        "plant/l1/boiler  protocol s7  3 tags: 2 there already, 1 new"
    ]
    rows = {line.split()[0 if line.startswith("    ") else 1]: line for line in lines if line.startswith("  ")}
    assert "there as hot" in rows["temperature"]
    assert "there already" in rows["running"]
    assert rows["count"].startswith("  + count")
    assert lines[-1] == f"the same command with --into {os.path.join('areas', 'plant.yaml')} writes the 1 new"
    assert {tag["name"]: tag["there"] for tag in result["sources"][0]["devices"][0]["tags"]} == {
        "running": "running",
        "temperature": "hot",
        "count": None,
    }


@pytest.mark.parametrize(
    ("at", "ending"),
    [
        ("", "the same command with --into site.yaml --at area/line/device writes them"),
        ("plant/l9/pump", "the same command with --into areas/plant.yaml writes them"),
        ("heat/l1/pump", "the same command with --into site.yaml writes them"),
    ],
)
def test_which_command_would_write_a_new_device(plant: Path, at: str, ending: str) -> None:
    lines, _ = told(plant, at)
    assert lines[-1] == ending
    assert not [line for line in lines if "there already" in line or line.startswith("  + ")]


def test_of_many_tags_only_the_new_ones_are_listed(plant: Path) -> None:
    many = "".join(f"      V{number} : Real;\n" for number in range(ROWS + 5))
    lines, _ = told(plant, "plant/l1/boiler", BLOCK.replace("      Count : DInt;\n", f"      Count : DInt;\n{many}"))
    assert any("2 there already, 66 new" in line for line in lines)
    assert not [line for line in lines if "there as hot" in line]


def test_nothing_new_is_said(plant: Path) -> None:
    lines, _ = told(plant, "plant/l1/boiler", BLOCK.replace("      Count : DInt;\n", ""))
    assert lines[-1] == "nothing new"
