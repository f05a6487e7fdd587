"""Consents as one writes them: the narrowest that covers some hazards, and those that cover nothing."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic
from nexus_cli.plan.hazards import Hazard, blocked

MOST_NAMED = 5
"""Up to so many principals are named one by one in a consent."""
WHOLE_SITE = frozenset({"empty-target", "mass-change"})
"""Hazards of which a plan has one, of the whole site: their name is the consent."""


def narrowest(scopes: Iterable[str]) -> str:
    """The narrowest glob of a consent that covers every scope: what all share stays, `*` for a level, `**` for several."""
    paths = [scope.split("/") for scope in scopes]
    if len({len(path) for path in paths}) == 1:
        levels = zip(*paths, strict=True)
        return "/".join(level[0] if len(set(level)) == 1 else "*" for level in levels)
    shared = []
    for level in zip(*paths, strict=False):
        if len(set(level)) > 1:
            break
        shared.append(level[0])
    return "/".join([*shared, "**"])


def consent_to(name: str, scopes: Sequence[str]) -> str:
    """The `--allow` value that consents to a hazard at these scopes, and to as little else as a glob permits; of a few
    principals one each."""
    if name in WHOLE_SITE:
        return name
    each = list(dict.fromkeys(scopes))
    if name == "acl-widen" and len(each) <= MOST_NAMED:
        return " --allow ".join(f"{name}={shlex.quote(scope)}" for scope in each)
    return f"{name}={narrowest(each)}"


def consents_to(hazards: Iterable[Hazard]) -> list[str]:
    """A consent for each name of hazard, by name."""
    by_name: dict[str, list[str]] = {}
    for hazard in hazards:
        by_name.setdefault(hazard.name, []).append(hazard.scope)
    return [consent_to(name, by_name[name]) for name in sorted(by_name)]


def without_effect(hazards: Sequence[Hazard], allow: Iterable[str]) -> list[str]:
    """Consents that cover no hazard of a plan, in their order, each once."""
    return [consent for consent in dict.fromkeys(allow) if len(blocked(hazards, [consent])) == len(hazards)]


def useless_consents(hazards: Sequence[Hazard], allow: Iterable[str]) -> list[Diagnostic]:
    """NX4012: a consent that covers nothing is a typing error, or a leftover that would let a later plan pass."""
    found = []
    for consent in without_effect(hazards, allow):
        name = consent.partition("=")[0]
        scopes = [hazard.scope for hazard in hazards if hazard.name == name]
        hint = f"this plan asks for --allow {consent_to(name, scopes)}" if scopes else "leave it out"
        found.append(finding("NX4012", f"the consent '{consent}' covers no hazard of this plan", hint=hint))
    return found
