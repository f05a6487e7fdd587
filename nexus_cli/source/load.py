"""The first stage: files in, one complete tree out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nexus_cli.diagnostics import Outcome
from nexus_cli.source.draft import Draft, Part
from nexus_cli.source.expand import Expander
from nexus_cli.source.files import gather
from nexus_cli.source.known import KnownKeys
from nexus_cli.source.merge import join, overlay, unshared
from nexus_cli.source.nodes import SourceFile
from nexus_cli.source.tree import SourceTree, in_order
from nexus_cli.source.variables import apply_variables, effective_variables, stray_parameters, stray_references


def load_files(
    path: Path,
    *,
    env: str | None = None,
    variables: Mapping[str, str] | None = None,
    inherited: frozenset[str] = frozenset(),
    known: Mapping[str, KnownKeys] | None = None,
) -> tuple[tuple[SourceFile, ...], Outcome[SourceTree]]:
    """Read a site with its includes, overlay, variables, templates and inherited keys resolved.

    Args:
        path: The site file.
        env: Name of the overlay `env/ENV.yaml` beside it.
        variables: `--var NAME=VALUE`, over the declared `vars`.
        inherited: Keys that `defaults`, templates and devices hand down to their tags.
        known: Keys by protocol, "" for any other; without them every `null` is dropped.

    Returns:
        Every file that was read, for the excerpts of findings; and the tree, or no value when a file could not be
        parsed: a missing part must not be taken for a removed one. Findings carry their places but have not gone
        through `SourceTree.report`.
    """
    draft = gather(path, env=env)
    if draft.broken or not draft.parts:
        return tuple(draft.files), Outcome(None, in_order(draft.findings))
    for part in [*draft.parts, *([draft.overlay] if draft.overlay else [])]:
        _own(draft, part)
    root = join(draft)
    overlay(draft, root)
    apply_variables(draft, root, effective_variables(draft, root, variables or {}))
    stray_parameters(draft, root)
    stray_references(draft, root)
    expander = Expander(draft, root, inherited=inherited, known=known)
    expander.run()
    tree = SourceTree(
        root,
        draft.files,
        expander.template_of,
        frozenset(expander.broken),
        given_of=expander.given_of,
        overridden=frozenset(variables or ()),
    )
    return tuple(draft.files), Outcome(tree, tuple(draft.findings))


def _own(draft: Draft, part: Part) -> None:
    """Take a part's references; nodes that aliases share are copied first, since they are changed in place."""
    if part.shared:
        part.root = unshared(draft, part.root)
    else:
        draft.references.extend(part.references)
