"""Lines of roles that change nothing."""

from __future__ import annotations

from nexus_cli.access.idle import idle_lines
from tests.unit.access.test_gains import changed, role
from tests.unit.access.test_questions import site


def why(**more: object) -> list[str]:
    return [each.why for each in idle_lines(changed(role_operator=role(**more)))]


def test_a_site_without_idle_lines_has_none() -> None:
    assert idle_lines(site()) == ()


def test_a_line_inside_another_one() -> None:
    assert why(read=["packaging/**", "packaging/line-1/**"]) == [
        "'read packaging/line-1/**' gives nothing beyond 'read packaging/**'"
    ]


def test_of_two_that_mean_the_same_the_later_one() -> None:
    assert why(run=["warm-up", "warm-*"]) == ["'run warm-*' gives nothing beyond 'run warm-up'"]


def test_a_denial_of_what_was_never_given() -> None:
    assert why(deny={"write": ["packaging/line-2/**"]}) == [
        "'deny write packaging/line-2/**' takes nothing that this role gives"
    ]


def test_a_scope_above_the_clearance() -> None:
    assert why(read=["packaging/line-1/gate/**", "packaging/line-1/filler/recipe"])[0] == (
        "'read packaging/line-1/filler/recipe' gives nothing: the class of its 1 tag is above the role's clearance"
    )
