"""From rights to the shortest list: labels, classes, denials, and others' topics."""

from __future__ import annotations

from typing import Any

import pytest

from nexus_cli.access.scopes import Cover, cover, denied_by, reach
from nexus_cli.access.tree import Tree
from nexus_cli.model.access_config import ScopeConfig
from nexus_cli.model.snapshot import Snapshot


def _device(path: str, protocol: str = "modbus", gateway: str = "gw-1", **more: Any) -> tuple[str, dict[str, Any]]:
    tags = more.pop("tags", {"a": "", "b": ""})
    made = {"path": path, "protocol": protocol, "gateway": gateway, **more}
    return f"device.{path}", {
        **made,
        "tags": {name: {"type": "bool", "classification": one} for name, one in tags.items()},
    }


TREE = Tree.of(
    Snapshot.of(
        "e",
        "s",
        dict(
            [
                ("site", {"labels": {"hall": {"team": "red"}, "hall/two": {"team": "blue"}}}),
                _device("hall/one/meter"),
                _device("hall/one/press", "s7", tags={"a": "", "b": "restricted"}),
                _device("hall/two/meter", gateway="gw-2"),
                _device("hall/two/drive", "s7", labels={"team": "red"}),
                _device("yard/one/meter", gateway="other", tags={"a": "public"}),
                _device(
                    "yard/two/robot",
                    "external",
                    "",
                    tags={"t": ""},
                    connection={"globs": ["yard/two/robot/state/**", "yard/two/robot/program/*"]},
                ),
            ]
        ),
    )
)


def found(right: str | ScopeConfig, clearance: str = "", *denials: str | ScopeConfig, **more: bool) -> Cover:
    return cover(reach(TREE, right, clearance=clearance, denied=denied_by(TREE, denials), **more))


@pytest.mark.parametrize(
    ("right", "clearance", "subtrees", "tags"),
    [
        ("**", "restricted", [""], []),
        ("**", "", ["hall/one/meter", "hall/two", "yard"], ["hall/one/press/a"]),
        ("**", "public", ["yard/one"], []),
        ("hall/**", "restricted", ["hall"], []),
        ("*/*/*/*", "restricted", ["hall", "yard/one"], ["yard/two/robot/t"]),
        ("hall/t*/**", "", ["hall/two"], []),
        ("hall/*/meter/a", "", [], ["hall/one/meter/a", "hall/two/meter/a"]),
        (ScopeConfig(labels={"team": "red"}), "", ["hall/one/meter", "hall/two/drive"], ["hall/one/press/a"]),
        (ScopeConfig(labels={"team": "blue"}), "", ["hall/two/meter"], []),
        (ScopeConfig(labels={"team": "green"}), "", [], []),
        (ScopeConfig(protocol="s7"), "restricted", ["hall/one/press", "hall/two/drive"], []),
        (ScopeConfig(gateway="gw-*"), "restricted", ["hall"], []),
        (ScopeConfig(gateway="gw-2"), "restricted", ["hall/two/meter"], []),
        (ScopeConfig(gateway="*"), "restricted", ["hall", "yard/one"], []),
        (ScopeConfig(classification="public"), "restricted", ["yard/one"], []),
        (
            ScopeConfig(path="hall/**", classification="restricted"),
            "",
            ["hall/one/meter", "hall/two"],
            ["hall/one/press/a"],
        ),
    ],
)
def test_the_shortest_list(right: str | ScopeConfig, clearance: str, subtrees: list[str], tags: list[str]) -> None:
    answer = found(right, clearance)
    assert (list(answer.subtrees), list(answer.tags)) == (subtrees, tags)


@pytest.mark.parametrize(
    ("denial", "subtrees", "tags"),
    [
        ("hall/one/meter/a", ["hall/one/press", "hall/two"], ["hall/one/meter/b"]),
        ("hall/**", [], []),
        ("*/*/meter/**", ["hall/one/press", "hall/two/drive"], []),
        (ScopeConfig(protocol="modbus"), ["hall/one/press", "hall/two/drive"], []),
        (ScopeConfig(classification="restricted"), ["hall/one/meter", "hall/two"], ["hall/one/press/a"]),
        (ScopeConfig(labels={"team": "red"}), ["hall/two/meter"], []),
        ("yard/**", ["hall"], []),
    ],
)
def test_what_is_denied_is_cut_out(denial: str | ScopeConfig, subtrees: list[str], tags: list[str]) -> None:
    answer = found("hall/**", "restricted", denial)
    assert (list(answer.subtrees), list(answer.tags)) == (subtrees, tags)


def test_a_denial_leaves_the_other_globs_of_a_device() -> None:
    answer = found("yard/**", "", "yard/two/robot/program/**")
    assert answer == Cover(("yard/one",), ("yard/two/robot/t",), ("yard/two/robot/state/**",))


def test_a_denial_that_takes_a_part_of_a_glob_takes_all_of_it() -> None:
    answer = found("yard/two/**", "", "yard/two/robot/state/secret/**")
    assert answer == Cover((), ("yard/two/robot/t",), ("yard/two/robot/program/*",))
    parts = reach(TREE, "yard/two/**", denied=denied_by(TREE, ["yard/two/robot/state/secret/**"])).parts
    assert parts["yard/two/robot"].cut == ("yard/two/robot/state/**",)
    whole = reach(TREE, "yard/two/**", denied=denied_by(TREE, ["yard/two/robot/**"])).parts
    assert whole["yard/two/robot"].cut == (), "what is denied whole was never to be given"


def test_a_right_gets_of_a_glob_what_both_mean() -> None:
    assert found("yard/*/robot/state/axis/**").outside == ("yard/two/robot/state/axis/**",)
    assert found("hall/**", external_only=True) == Cover((), (), ())
    assert found("**", "restricted", external_only=True).subtrees == ("yard/two",)


def test_an_unknown_class_is_the_highest_and_clears_nothing() -> None:
    device = _device("a/b/c", tags={"x": "cosmic", "y": "public"})
    tree = Tree.of(Snapshot.of("e", "s", dict([device])))
    assert cover(reach(tree, "**", clearance="confidential")).tags == ("a/b/c/y",)
    assert cover(reach(tree, "**", clearance="cosmic")).tags == ("a/b/c/y",)
    assert cover(reach(tree, "**", clearance="restricted")).subtrees == ("",)
