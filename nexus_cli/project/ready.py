"""A plan that can be applied: a fresh one, or one from a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nexus_cli.diagnostics import Diagnostic
from nexus_cli.model.snapshot import Changed
from nexus_cli.plan.consents import useless_consents, without_effect
from nexus_cli.plan.document import HazardEntry, PlanDocument
from nexus_cli.plan.hazards import Hazard, blocked
from nexus_cli.plan.planfile import PlanSource, is_planfile, read_planfile, write_planfile
from nexus_cli.plan.policies import OVERRIDE
from nexus_cli.plan.policy_document import PolicyEntry, blocking_policies


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Something that can be applied: a fresh plan or a saved one.

    Attributes:
        site: `enterprise/site`.
        document: The plan as JSON (`plan/document.py`).
        changed: Attributes to record by address; None removes.
        source: Which files it was made from.
        saved: It comes from a file: what policies say of the moment, control says alone.
    """

    site: str
    document: PlanDocument
    changed: Changed
    source: PlanSource
    saved: bool = False

    @property
    def errored(self) -> bool:
        """True when a finding forbids applying it."""
        return bool(self.document["errored"])

    @property
    def empty(self) -> bool:
        """True when there is nothing to do."""
        return not self.changed

    def blocking_policies(self) -> list[PolicyEntry]:
        """Violated policies that no consent overrides."""
        return [] if self.saved else blocking_policies(self.document.get("policies", ()))

    def open_hazards(self, allow: Sequence[str]) -> list[HazardEntry]:
        """Hazards that no consent covers."""
        hazards = self._hazards()
        return [hazards[each] for each in blocked(hazards, allow)]

    def used_consents(self, allow: Sequence[str]) -> list[str]:
        """The consents that cover a hazard of the plan."""
        useless = without_effect(list(self._hazards()), allow)
        return [each for each in allow if each not in useless]

    def useless_consents(self, allow: Sequence[str]) -> list[Diagnostic]:
        """NX4012 for each of the others."""
        return useless_consents(list(self._hazards()), allow)

    def _hazards(self) -> dict[Hazard, HazardEntry]:
        return {
            Hazard(name=each["name"], scope=each["scope"], address=each["address"], message=each["message"]): each
            for each in self.document["hazards"]
            if not (self.saved and each["name"] == OVERRIDE)
        }

    def consented(self, allow: Sequence[str]) -> PlanDocument:
        """The document with its hazards marked by these consents: a saved plan carries those of its own time."""
        open_ = self.open_hazards(allow)
        hazards: list[HazardEntry] = [{**each, "allowed": each not in open_} for each in self.document["hazards"]]
        return {**self.document, "hazards": hazards}


def save_plan(ready: Ready, path: str) -> None:
    """Write a plan to a file. Raises NexusError NX4003."""
    write_planfile(Path(path), document=ready.document, changed=ready.changed, source=ready.source)


def is_saved_plan(path: str | None) -> bool:
    """True when the argument of `apply` or `show` names a saved plan."""
    return path is not None and is_planfile(Path(path))


def saved_plan(path: str) -> Ready:
    """Read a saved plan. Raises NexusError NX4003 or NX4006."""
    saved = read_planfile(Path(path))
    return Ready(site=saved.site, document=saved.document, changed=saved.changed, source=saved.source, saved=True)
