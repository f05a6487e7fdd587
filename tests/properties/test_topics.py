"""Topics: building and reading invert each other, and a filter built from a glob covers what the glob means."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.wire.topic import SLUG, Topics, glob_to_filter, is_slug, matches

slug = st.from_regex(SLUG + r"\Z", fullmatch=True)


@given(slug, slug, slug, st.lists(slug, min_size=3, max_size=3))
def test_data_topics_invert(enterprise: str, site: str, gateway: str, device: list[str]) -> None:
    topics = Topics(enterprise, site)
    path = "/".join(device)
    assert topics.split_data(topics.data(gateway, path)) == (gateway, path)
    assert topics.split_data(topics.tag(path)) is None


@given(slug, slug, st.lists(slug, min_size=4, max_size=4))
def test_tag_topics_invert(enterprise: str, site: str, levels: list[str]) -> None:
    topics = Topics(enterprise, site)
    path = "/".join(levels)
    assert topics.path(topics.tag(path)) == path
    assert matches(topics.tag("#"), topics.tag(path))
    assert not matches(topics.platform + "/#", topics.tag(path)), "no tag topic is a platform topic"


@given(st.lists(slug, min_size=1, max_size=5), st.data())
def test_a_glob_covers_the_paths_it_was_made_from(levels: list[str], data: st.DataObject) -> None:
    holes = data.draw(st.sets(st.integers(0, len(levels) - 1)))
    glob = "/".join("*" if at in holes else level for at, level in enumerate(levels))
    assert matches(glob_to_filter(glob), "/".join(levels))
    assert matches(glob_to_filter(levels[0] + "/**"), "/".join(levels))


@given(st.text(max_size=30))
def test_anything_may_be_asked(text: str) -> None:
    assert isinstance(is_slug(text), bool)
    assert isinstance(matches(text, text), bool)
    assert is_slug(text) is False or matches("+", text)
