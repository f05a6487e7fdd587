"""The first stage: files in, one complete tree out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nexus_cli.diagnostics import ModelPath, Outcome
from nexus_cli.json_value import JsonObject
from nexus_cli.source.draft import Draft, Part
from nexus_cli.source.expand import Expander
from nexus_cli.source.files import gather
from nexus_cli.source.known import KnownKeys
from nexus_cli.source.merge import join, overlay, unshared
from nexus_cli.source.nodes import SourceFile
from nexus_cli.source.remembered import (
    Contexts,
    Remembered,
    UnsoundMemory,
    closed_sections,
    open_overlaid,
    open_section,
    sections,
    settle,
    worth_remembering,
)
from nexus_cli.source.sections import Section
from nexus_cli.source.tree import SourceTree, in_order
from nexus_cli.source.variables import (
    apply_variables,
    effective_variables,
    replace_references,
    stray_parameters,
    stray_references,
)


def load_files(
    path: Path,
    *,
    env: str | None = None,
    variables: Mapping[str, str] | None = None,
    inherited: frozenset[str] = frozenset(),
    known: Mapping[str, KnownKeys] | None = None,
    earlier: Mapping[str, Remembered] | None = None,
) -> tuple[tuple[SourceFile, ...], Outcome[SourceTree]]:
    """Read a site with its includes, overlay, variables, templates and inherited keys resolved.

    Args:
        path: The site file.
        env: Name of the overlay `env/ENV.yaml` beside it.
        variables: `--var NAME=VALUE`, over the declared `vars`.
        inherited: Keys that `defaults`, templates and devices hand down to their tags.
        known: Keys by protocol, "" for any other; without them every `null` is dropped.
        earlier: What is remembered of devices, by path. Those that did not change stay closed in the tree
            (`SourceTree.kept`). None reads every file as a whole and remembers nothing.

    Returns:
        Every file that was read, for the excerpts of findings; and the tree, or no value when a file could not be
        parsed: a missing part must not be taken for a removed one. Findings carry their places but have not gone
        through `SourceTree.report`.
    """
    try:
        return _load(path, env, variables or {}, inherited, known, earlier)
    except UnsoundMemory:
        return _load(path, env, variables or {}, inherited, known, None)


def _load(
    path: Path,
    env: str | None,
    variables: Mapping[str, str],
    inherited: frozenset[str],
    known: Mapping[str, KnownKeys] | None,
    earlier: Mapping[str, Remembered] | None,
) -> tuple[tuple[SourceFile, ...], Outcome[SourceTree]]:
    digests = None if earlier is None else frozenset(one.section for one in earlier.values())
    draft = gather(path, env=env, known=digests)
    if draft.broken or not draft.parts:
        return tuple(draft.files), Outcome(None, in_order(draft.findings))
    for part in [*draft.parts, *([draft.overlay] if draft.overlay else [])]:
        _own(draft, part)
    root = join(draft)
    overlaid = open_overlaid(draft, root)
    overlay(draft, root)
    values = effective_variables(draft, root, variables)
    closed = closed_sections(root)
    written = {path: section for path, section in sections(root) if path not in overlaid}
    contexts = Contexts(root, values)
    kept = settle(draft, closed, earlier or {}, contexts)
    apply_variables(draft, root, values)
    stray_parameters(draft, root)
    stray_references(draft, root)
    expander = Expander(draft, root, inherited=inherited, known=known)
    expander.run({path: one.template for path, one in kept.items()})
    for device in expander.noisy:
        written.pop(device, None)
    tree = SourceTree(
        root,
        draft.files,
        expander.template_of,
        frozenset(expander.broken),
        given_of=expander.given_of,
        overridden=frozenset(variables),
        kept={path: closed[path] for path in kept},
        completed=_Completion(draft, values, expander),
        sound=worth_remembering(draft, contexts, expander.template_of, written),
    )
    return tuple(draft.files), Outcome(tree, tuple(draft.findings))


@dataclass(frozen=True, slots=True)
class _Completion:
    """Reads a device that stayed closed. Nothing is found in it: that is why it could stay closed."""

    draft: Draft
    values: JsonObject
    expander: Expander

    def __call__(self, where: ModelPath, section: Section) -> None:
        before = len(self.draft.references)
        open_section(self.draft, section)
        replace_references(self.draft, self.draft.references[before:], self.values)
        self.expander.complete(where)


def _own(draft: Draft, part: Part) -> None:
    """Take a part's references; nodes that aliases share are copied first, since they are changed in place."""
    if part.shared:
        part.root = unshared(draft, part.root)
    else:
        draft.references.extend(part.references)
