"""What `moved:` may say: kinds, loops, chains in order, and old paths that are kept for a while."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus_cli.project.text import read

SITE = """\
nexus: 1
enterprise: acme
site: chicago
areas:
  packaging:
    lines:
      line-2:
        devices:
          meter:
            protocol: modbus
            connection: {host: 10.0.0.9}
            tags:
              speed: {address: "holding:100", type: uint16}
              rate: {address: "holding:101", type: uint16}
moved:
"""
METER = "packaging/line-2/meter"


def codes(folder: Path, *entries: tuple[str, str]) -> list[str]:
    lines = "".join(f"  - {{from: {old}, to: {new}}}\n" for old, new in entries)
    (folder / "site.yaml").write_text(SITE + lines, encoding="utf-8")
    return sorted(each.code for each in read(folder / "site.yaml").findings if each.code[:4] in ("NX28", "NX41"))


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([("packaging/line-1", "packaging/line-2")], []),
        ([("boxing", "packaging")], []),
        ([("packaging/line-9", "packaging/line-3")], ["NX2802"]),
        ([("boxing", "packing")], ["NX2802"]),
        ([("packaging", "boxing")], ["NX2801", "NX2802"]),
        ([("packaging/line-2", "packaging")], ["NX2804"]),
        ([("boxing/line-1", "packaging/line-2/meter")], ["NX2804"]),
        # a chain, in the order in which it happened, and in the wrong one
        ([("packaging/a", "packaging/b"), ("packaging/b", "packaging/line-2")], []),
        ([("packaging/b", "packaging/line-2"), ("packaging/a", "packaging/b")], ["NX4111"]),
        # loops, of two and three, and one whose paths are not even declared
        ([(f"{METER}/speed", f"{METER}/rate"), (f"{METER}/rate", f"{METER}/speed")], ["NX4110"]),
        ([("a/b", "a/c"), ("a/c", "a/d"), ("a/d", "a/b")], ["NX4110"]),
        # two loops are two findings; what only leads into one is none of it
        ([("a/b", "a/c"), ("a/c", "a/b"), ("x/b", "x/c"), ("x/c", "x/b")], ["NX4110", "NX4110"]),
    ],
)
def test_what_moved_may_say(entries: list[tuple[str, str]], expected: list[str], tmp_path: Path) -> None:
    assert codes(tmp_path, *entries) == expected


def test_a_loop_names_its_way_and_every_entry(tmp_path: Path) -> None:
    codes(tmp_path, ("a/b", "a/c"), ("a/c", "a/b"))
    (found,) = [each for each in read(tmp_path / "site.yaml").findings if each.code == "NX4110"]
    assert found.message == "moves in a loop: a/b -> a/c -> a/b" and len(found.related) == 1
    assert found.place is not None and found.place.line == 16
