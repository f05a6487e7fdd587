"""What a person reads of a walk: facts of the CPU and its blocks, what was skipped and why, in few lines."""

from __future__ import annotations

from typing import Any

from nexus_cli.cli.views.discover import BLOCKS, text


def shown(facts: dict[str, Any], *, skipped: list[dict[str, str]] | None = None, whole: bool = False) -> list[str]:
    """The lines of one source without tags."""
    source = {
        "source": "s7://10.0.0.5",
        "facts": facts,
        "counts": {"seen": len(skipped or []), "found": 0, "skipped": len(skipped or [])},
        "devices": [],
        "skipped": skipped or [],
    }
    return text({"sources": [source], "edit": None}, skipped=whole, diff=False, style=lambda one, _: one).splitlines()


def test_blocks_are_told_with_length_name_and_protection() -> None:
    blocks = [
        {"block": "DB1", "length": 16},
        {"block": "DB7", "length": 200, "name": "Recipe", "protected": True},
    ]
    assert "  data_blocks: DB1 16 bytes, DB7 200 bytes (Recipe, protected)" in shown({"data_blocks": blocks})


def test_many_blocks_end_in_a_count() -> None:
    blocks = [{"block": f"DB{number}", "length": 2} for number in range(BLOCKS + 3)]
    (line,) = [line for line in shown({"data_blocks": blocks}) if "data_blocks" in line]
    assert line.endswith("DB19 2 bytes and 3 more (--format json has all)")


def test_equal_reasons_are_one_line_until_each_is_wanted() -> None:
    skipped = [{"what": f"DB{number}", "reason": "no names"} for number in range(40)]
    assert "  40  no names" in shown({}, skipped=skipped)
    assert "  DB39: no names" in shown({}, skipped=skipped, whole=True)
