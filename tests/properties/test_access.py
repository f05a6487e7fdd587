"""The laws of access: the covering of filters is what matching says, and no gateway reaches another's device."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.access.brokers.mosquitto.acl_file import check_filter, render_acl
from nexus_cli.access.compile import compile_grants
from nexus_cli.access.evaluate import covers, evaluate
from nexus_cli.access.globs import LEVELS, filters_of, has_partial_level, matches_glob, overlap
from nexus_cli.access.grants import gateway_principal
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.wire.topic import matches

names = st.sampled_from(["a", "b", "c"])
topics = st.lists(names, min_size=1, max_size=4).map("/".join)
filters = st.tuples(st.lists(st.sampled_from(["a", "b", "c", "+"]), max_size=3), st.sampled_from(["a", "+", "#"])).map(
    lambda parts: "/".join([*parts[0], parts[1]])
)
paths = st.tuples(names, names, names).map("/".join)
globs = st.lists(st.sampled_from(["a", "b", "*", "**"]), min_size=1, max_size=5).map("/".join)


@given(granted=filters, wanted=filters, topic=topics)
def test_what_covers_a_filter_covers_its_topics(granted: str, wanted: str, topic: str) -> None:
    if covers(granted, wanted) and matches(wanted, topic):
        assert matches(granted, topic)


@given(filter_=filters)
def test_a_filter_covers_itself(filter_: str) -> None:
    assert covers(filter_, filter_)


@given(glob=globs, path=st.tuples(names, names, names, names).map("/".join))
def test_a_glob_and_its_filters_agree(glob: str, path: str) -> None:
    assert path.count("/") + 1 == LEVELS
    expected = matches_glob(glob, path)
    assert any(matches(filter_, path) for filter_ in filters_of(glob, [path], exact=True)) is expected
    assert any(matches(filter_, path) for filter_ in filters_of(glob, [path])) is expected


@given(owners=st.dictionaries(paths, st.sampled_from(["one", "two", ""]), min_size=1, max_size=12))
def test_no_gateway_reaches_anothers_device(owners: dict[str, str]) -> None:
    snapshot = Snapshot.of(
        "e",
        "s",
        {
            f"device.{path}": {
                "path": path,
                "gateway": owner,
                "protocol": "modbus" if owner else "external",
                "tags": {"t": {}},
            }
            for path, owner in owners.items()
        },
    )
    grants = compile_grants(snapshot)
    for path, owner in owners.items():
        for gateway in ("one", "two"):
            decision = evaluate(grants, principal=gateway_principal(gateway), action="publish", topic=f"e/s/{path}/t")
            assert decision.allowed is (owner == gateway)
    for grant in grants:
        check_filter(grant.filter)
    assert render_acl(grants).endswith("\n")


_level = st.sampled_from(["a", "b", "ab", "*", "a*", "*b"])
_rest = st.sampled_from([[], ["**"]])
_ended = st.tuples(st.lists(_level, max_size=4), _rest).map(lambda parts: "/".join(parts[0] + parts[1])).filter(bool)
_topic = st.lists(st.sampled_from(["a", "b", "ab", "c"]), min_size=1, max_size=6).map("/".join)


@given(one=_ended, other=_ended, topic=_topic)
def test_an_overlap_means_what_both_mean(one: str, other: str, topic: str) -> None:
    shared = overlap(one, other)
    both = matches_glob(one, topic) and matches_glob(other, topic)
    if shared is None:
        assert not both
    elif has_partial_level(shared):
        assert matches_glob(shared, topic) or not both, "never too narrow; what is too wide is no rule"
    else:
        assert matches_glob(shared, topic) is both


@given(level=st.text(st.characters(exclude_characters="/*"), min_size=1, max_size=8))
def test_a_level_without_a_wildcard_means_itself_alone(level: str) -> None:
    assert matches_glob(f"a/{level}", f"a/{level}")
    assert not matches_glob(f"a/{level}", f"a/{level}x")
    assert not matches_glob("a/[ab]?", "a/ac")
