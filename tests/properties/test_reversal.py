"""The renames of a rollback: they lead every tag back, however the plant was renamed."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_cli.plan.moved import Rename, tag_moves
from nexus_cli.plan.reversal import reversed_renames
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
    deployments: list[list[Rename]] = []
    for renames in drawn:
        made: list[Rename] = []
        for levels, place in renames:
            fresh += 1
            rename, went = _rename(set(origin), levels, place, f"new{fresh}")
            made.append(rename)
            origin = {went[path]: first for path, first in origin.items()}
        deployments.append(made)
    back = tag_moves(reversed_renames(reversed(deployments)), base=set(origin), desired=tags)
    assert back == {path: first for path, first in origin.items() if path != first and path not in tags}
