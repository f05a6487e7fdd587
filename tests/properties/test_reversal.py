"""The renames of a rollback: they lead every tag back, however the plant was renamed."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nexus_cli.plan.moved import Rename, Renamer, tag_moves
from nexus_cli.plan.reversal import Made, reversed_renames
from tests.examples import examples

NAMES = st.sampled_from("abcdef")
TAGS = st.sets(st.builds(lambda *parts: "/".join(parts), NAMES, NAMES, NAMES, NAMES), min_size=1, max_size=6)


def _rename(paths: set[str], levels: int, place: int, fresh: str) -> tuple[Rename, dict[str, str]]:
    """A rename of what is above one of the paths, to a name that nothing has; and where each path goes."""
    old = "/".join(sorted(paths)[place % len(paths)].split("/")[:levels])
    new = "/".join([*old.split("/")[:-1], fresh])
    return (old, new), {
        path: new + path[len(old) :] if path == old or path.startswith(old + "/") else path for path in paths
    }


@settings(max_examples=examples(200))
@given(tags=TAGS, drawn=st.lists(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 5)), max_size=3), max_size=3))
def test_every_tag_comes_back(tags: set[str], drawn: list[list[tuple[int, int]]]) -> None:
    origin, fresh = {tag: tag for tag in tags}, 0
    deployments: list[Made] = []
    for renames in drawn:
        made: list[Rename] = []
        before = set(origin)
        for levels, place in renames:
            fresh += 1
            rename, went = _rename(set(origin), levels, place, f"new{fresh}")
            made.append(rename)
            origin = {went[path]: first for path, first in origin.items()}
        deployments.append(Made(moved=made, before=before, after=set(origin)))
    back = tag_moves(reversed_renames(reversed(deployments)), base=set(origin), desired=tags)
    assert back == {path: first for path, first in origin.items() if path != first and path not in tags}


ENTRIES = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 5), st.lists(NAMES, min_size=4, max_size=4)), max_size=3)


@settings(max_examples=examples(300))
@given(tags=TAGS, drawn=st.lists(st.tuples(st.booleans(), ENTRIES), max_size=3))
def test_tags_that_meet_under_one_name_part_again(
    tags: set[str], drawn: list[tuple[bool, list[tuple[int, int, list[str]]]]]
) -> None:
    """Names that something has already, and entries of earlier deployments that stayed in the file."""
    origin = {tag: tag for tag in tags}
    moved: list[Rename] = []
    deployments: list[Made] = []
    for stay, entries in drawn:
        paths = sorted(origin)
        new = [
            ("/".join(paths[place % len(paths)].split("/")[:levels]), "/".join(names[:levels]))
            for levels, place, names in entries
        ]
        moved = [*(moved if stay else []), *new]
        goals = {path: Renamer(moved)(path) for path in paths}
        wanted = {path: goal if list(goals.values()).count(goal) == 1 else path for path, goal in goals.items()}
        assume(len(set(wanted.values())) == len(wanted))
        went = tag_moves(moved, base=set(paths), desired=set(wanted.values()))
        assume(went == {path: goal for path, goal in wanted.items() if path != goal})
        deployments.append(Made(moved=moved, before=set(paths), after=set(wanted.values())))
        origin = {wanted[path]: first for path, first in origin.items()}
    back = tag_moves(reversed_renames(reversed(deployments)), base=set(origin), desired=tags)
    assert back == {
        path: first for path, first in origin.items() if path != first and path not in tags and first not in origin
    }


@pytest.mark.parametrize(
    ("moved", "back"),
    [
        (
            [("a/two/d", "a/new/d"), ("a/one", "a/new")],
            [("a/new/d", "a/two/d"), ("a/new", "a/one"), ("a/new/d", "a/two/d")],
        ),
        ([("a/old", "a/one"), ("a/one", "a/new"), ("a/two/d", "a/new/d")], None),
    ],
)
def test_a_device_that_came_from_elsewhere_goes_back_there(moved: list[Rename], back: list[Rename] | None) -> None:
    before, after = {"a/one/c/t", "a/two/d/t"}, {"a/new/c/t", "a/new/d/t"}
    found = reversed_renames([Made(moved=moved, before=before, after=after)])
    assert tag_moves(found, base=after, desired=before) == {"a/new/c/t": "a/one/c/t", "a/new/d/t": "a/two/d/t"}
    assert back is None or found == back
