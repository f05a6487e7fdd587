"""Checks that look at one of the tags that are alike find what they find when they look at each of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_cli.checks import OF_ONE_TAG, check
from nexus_cli.checks.view import View
from nexus_cli.project.text import read
from tests.examples import examples
from tests.properties.test_cache import Folder, each_check_of_each_tag

HEAD = """\
nexus: 1
enterprise: acme
site: works
defaults: {deadband: 2%}
areas:
  a:
    lines:
"""
KEYS = st.sampled_from(
    (
        *("", "range: [5, 1]", "range: [0, 9]", "range: [0, 99999]", "deadband: 3%", "deadband: 40", "scale: 0", "scale: 2", "poll: 1ms"),
        *("poll: 1s, heartbeat: 5ms", "unit: blobs", "unit: V, publish_unit: kg", "publish_unit: V", "retention: none", "mode: cyclic"),
        *("values: {0: a, 1: a}", "values: {0: a, 999999: b}", "read_back: none", "writable: true, read_back: tag-0", "enabled: false"),
        *("simulate: {signal: csv}", "encoding: bcd, range: [0, 50000]", "description: x", "labels: {k: v}", "offset: 1, unit: degF"),
    )
)  # fmt: skip
TAGS = st.lists(st.tuples(st.sampled_from(("uint16", "float32", "bool", '"string[4]"')), KEYS), min_size=1, max_size=8)
DEVICES = st.lists(
    st.tuples(st.sampled_from(("", "deadband: 2%", "poll: 1ms", "mode: cyclic", "retention: none")), TAGS),
    min_size=1,
    max_size=3,
)


def site_of(lines: list[tuple[str, list[tuple[str, str]]]]) -> str:
    parts = [HEAD]
    for number, (level, tags) in enumerate(lines):
        parts.append(f"      line-{number}:\n        defaults: {{{level}}}\n        devices:\n          device:\n")
        parts.append(
            f"            protocol: modbus\n            connection: {{host: 10.0.0.{number}}}\n            tags:\n"
        )
        parts.extend(
            f'              tag-{at}: {{address: "holding:{at * 4}", type: {kind}{", " if key else ""}{key}}}\n'
            for at, (kind, key) in enumerate(tags)
        )
    return "".join(parts)


@settings(max_examples=examples(30))
@given(DEVICES)
def test_all_or_none_of_them(lines: list[tuple[str, list[tuple[str, str]]]]) -> None:
    with Folder() as folder:
        path = folder / "site.yaml"
        path.write_text(site_of(lines), encoding="utf-8")
        model = read(path).model
        assert model is not None
        assert check(model) == each_check_of_each_tag(model)


def test_one_of_each_shape_is_left(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    tags = [
        ("uint16", ""),
        ("uint16", "description: other"),
        ("float32", ""),
        ("uint16", "values: {0: a}"),
        ("uint16", "values: {0: a}"),
    ]
    path.write_text(site_of([("", tags)]), encoding="utf-8")
    model = read(path).model
    assert model is not None
    view = View.of(model)
    assert [tag.name for tag in view.alike().tags] == ["tag-0", "tag-2", "tag-3", "tag-4"]
    assert len(view.tags) == 5


@pytest.mark.parametrize("one", sorted(OF_ONE_TAG, key=lambda one: one.__name__), ids=lambda one: one.__name__)
def test_they_are_checks(one: object) -> None:
    assert getattr(one, "__doc__", "").startswith("NX")
