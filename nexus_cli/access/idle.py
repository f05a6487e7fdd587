"""Lines of roles that change nothing: what `nexus access check` warns of beyond the checks of `nexus validate`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from nexus_cli.access.lines import (
    NAME_RIGHTS,
    TAG_RIGHTS,
    Line,
    Right,
    TagFacts,
    lines_of,
    means,
    names_of,
    reaches,
    roles_of,
    tag_facts,
)
from nexus_cli.access.subjects import KIND_OF, external_globs
from nexus_cli.diagnostics.wording import counted
from nexus_cli.model.snapshot import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """A line without effect.

    Attributes:
        line: The line.
        why: A sentence without its point, about the line.
    """

    line: Line
    why: str


def idle_lines(snapshot: Snapshot) -> tuple[Idle, ...]:
    """Lines that give nothing beyond others of their role, or take nothing that it gives; in the order of the roles.

    A line that matches nothing at all has findings of its own (NX2602, NX2607, NX2609).
    """
    facts = tag_facts(snapshot)
    outside = bool(external_globs(snapshot))
    names = {kind: [name for name, _ in snapshot.of_kind(kind)] for kind in set(KIND_OF.values())}
    found: list[Idle] = []
    for name, role in roles_of(snapshot).items():
        lines = lines_of(name, role)
        for right in (*TAG_RIGHTS, *NAME_RIGHTS):
            if right in TAG_RIGHTS and outside:
                continue  # a line may be about topics that only a glob declares
            found += _of_right([line for line in lines if line.right == right], right, facts, names)
    return tuple(found)


def _of_right(
    lines: Sequence[Line], right: Right, facts: Mapping[str, TagFacts], names: Mapping[str, Sequence[str]]
) -> Iterator[Idle]:
    covered = [_covered(line, right, facts, names) for line in lines]
    given: set[str] = set().union(*(each for line, each in zip(lines, covered, strict=True) if not line.deny), set())
    for position, (line, own) in enumerate(zip(lines, covered, strict=True)):
        if not own:
            if why := _empty(line, right, facts):
                yield Idle(line=line, why=why)
            continue
        if line.deny:
            if not own & given:
                yield Idle(line=line, why=f"'{line.text}' takes nothing that this role gives")
            continue
        for other, wider in enumerate(covered):
            # Of two that mean the same the later one is too much.
            if other != position and not lines[other].deny and (own < wider or (own == wider and other < position)):
                yield Idle(line=line, why=f"'{line.text}' gives nothing beyond '{lines[other].text}'")
                break


def _covered(line: Line, right: Right, facts: Mapping[str, TagFacts], names: Mapping[str, Sequence[str]]) -> set[str]:
    if right in TAG_RIGHTS:
        within = (tag for tag in facts.values() if means(line, tag) and reaches(line, tag.classification))
        return {tag.path for tag in within if right != "write" or tag.writable}
    return set(names_of(line, names[KIND_OF[right]]))


def _empty(line: Line, right: Right, facts: Mapping[str, TagFacts]) -> str:
    """Why a line with a condition covers no tag; "" where the path alone matches none, which has its own finding."""
    if right not in TAG_RIGHTS or line.deny:
        return ""
    about = [tag for tag in facts.values() if means(line, tag) and (right != "write" or tag.writable)]
    if about:
        return (
            f"'{line.text}' gives nothing: the class of its {counted(len(about), 'tag')} is above the role's clearance"
        )
    plain = line.scope.path == line.text.partition(" ")[2]
    return "" if plain else f"'{line.text}' gives nothing: no {'writable ' * (right == 'write')}tag is so"
