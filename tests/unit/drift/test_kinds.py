"""Kinds, severities, and what is left out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.drift.kinds import KINDS, ON_WRITABLE, Ignored, chosen, counted, found, ignored_of, order, worst
from nexus_cli.model.drift import KIND_NAMES
from nexus_cli.wire.control_drift import SEVERITIES, DriftFinding

FINDINGS = st.lists(
    st.builds(
        lambda kind, path, writable: found(kind, path, "device", "text", writable=writable),
        st.sampled_from(sorted(KINDS)),
        st.sampled_from(["a/l/d", "a/l/d/t", "b/l/d/t", "role.operator"]),
        st.booleans(),
    )
)


def test_the_site_language_knows_the_same_kinds() -> None:
    assert set(KIND_NAMES) == set(KINDS)
    assert set(KINDS) >= ON_WRITABLE


def test_what_may_write_comes_before_types_before_addresses_before_descriptions() -> None:
    names = ("writable-changed", "type-changed", "address-gone", "description-changed")
    assert [KINDS[name] for name in names] == list(SEVERITIES)
    assert found("address-gone", "a/l/d/t", "device", "x", writable=True).severity == "critical"


@given(FINDINGS, st.sampled_from(SEVERITIES))
def test_none_is_lost_and_the_worst_come_first(findings: list[DriftFinding], least: str) -> None:
    kept, left = chosen(findings, least=least)
    assert len(kept) + left == len(findings)
    assert kept == sorted(kept, key=order)
    assert sum(counted(kept).values()) == len(kept)
    assert all(SEVERITIES.index(one.severity) <= SEVERITIES.index(least) for one in kept)
    assert worst(kept) == (kept[0].severity if kept else "")


@given(FINDINGS)
def test_what_is_ignored_is_counted(findings: list[DriftFinding]) -> None:
    kept, left = chosen(findings, ignore=[Ignored(glob="a/**", kind="address-*")])
    gone = [one for one in findings if one not in kept]
    assert len(kept) + left == len(findings)
    assert all(one.path.startswith("a/") and one.kind.startswith("address-") for one in gone)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a/l/*", Ignored(glob="a/l/*")),
        ("**:description-changed", Ignored(glob="**", kind="description-changed")),
        ("role.operator:rights-*", Ignored(glob="role.operator", kind="rights-*")),
    ],
)
def test_ignore(text: str, wanted: Ignored) -> None:
    assert ignored_of(text) == wanted


@pytest.mark.parametrize("text", ["", ":type-changed", "a/**:tpye-changed", "a/**:"])
def test_what_covers_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        ignored_of(text)


def test_a_resource_is_ignored_by_its_address() -> None:
    one = found("rights-changed", "role.operator", "declared", "x")
    assert chosen([one], ignore=[ignored_of("role.operator")]) == ([], 1)
