"""Paths and globs to tags: exact, in order, only what may be read, and quick whatever the glob."""

from __future__ import annotations

import numpy as np
import pytest

from nexus_cli.access.globs import matches_glob
from nexus_cli.runtime.web.live_cache import LiveCache
from nexus_cli.runtime.web.site_view import SiteView
from nexus_cli.runtime.web.socket.selection import is_quick, range_of, selected
from nexus_cli.wire.topic import Topics

DEVICES = ("a/l/d", "a/l/d-1", "a/l-1/d", "a-1/l/d", "b/line-1/dev.x", "b/line-2/devyx")


def view() -> SiteView:
    tags = {name: {"type": "float32"} for name in ("t", "t-1", "u", "temp.x")}
    resources = {f"device.{path}": {"protocol": "modbus", "tags": tags} for path in DEVICES}
    return SiteView.of(Topics("acme", "chicago"), 1, resources, LiveCache(now_us=lambda: 1))


@pytest.mark.parametrize(
    "glob",
    [
        "**",
        "a/**",
        "a/l/**",
        "a/l/d/**",
        "a/l/d/t",
        "*/l/*/t",
        "**/t",
        "**/d/**",
        "b/line-*/**",
        "*/*/*/*",
        "b/line-*/dev.x/t*",
        "*/*/*/*e*p*.*",
        "a/l/d/t/**",
        "a/l",
        "nowhere/**",
        "a/**/t-1",
        "**/**/u",
    ],
)
def test_a_glob_means_the_tags_that_it_means_in_a_role(glob: str) -> None:
    site = view()
    everything = np.ones(len(site.tags), np.bool_)
    found = [site.paths[at] for at in selected(site, [glob], everything)]
    assert found == [path for path in site.paths if matches_glob(glob, path)]


def test_only_what_may_be_read_each_tag_once_and_in_the_order_of_paths() -> None:
    site = view()
    readable = np.array([tag.path.startswith("a/") for tag in site.tags])
    found = [site.paths[at] for at in selected(site, ["b/**", "a/l/d/u", "a/l/d/t", "a/l/d/*"], readable)]
    assert found == [f"a/l/d/{name}" for name in ("t", "t-1", "temp.x", "u")]


def test_a_subtree_ends_where_the_next_name_begins() -> None:
    paths = ["a-1/x", "a/l/d", "a/l/e", "a0/x"]
    assert range_of(paths, "a/") == (1, 3)
    assert range_of(paths, "") == (0, 4)
    assert range_of(paths, "z/") == (4, 4)


def test_a_level_with_very_many_wildcards_is_read_once_for_each_part() -> None:
    name = "a" * 400
    resources = {"device.x/y/z": {"protocol": "modbus", "tags": {name: {"type": "float32"}}}}
    site = SiteView.of(Topics("acme", "chicago"), 1, resources, LiveCache(now_us=lambda: 1))
    everything = np.ones(1, np.bool_)
    # Read with backtracking it would not end: 60 parts over 400 characters.
    assert not len(selected(site, ["x/y/z/" + "a*" * 60 + "b"], everything))
    assert list(selected(site, ["x/y/z/" + "a*" * 60 + "a"], everything)) == [0]


def test_what_needs_no_search_is_quick() -> None:
    assert is_quick(["a/l/d/t", "a/**", "**"])
    assert not is_quick(["a/*"]) and not is_quick(["**/t"]) and not is_quick(["a/l/d-*/**"])
