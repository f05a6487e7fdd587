"""A plan document with what was measured and tried beside what is predicted.

Counts are in keys of their own (`measured` of an impact or a hazard), never in a text that says what a hazard is: the
effect of a plan is the same while samples arrive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from nexus_cli.diagnostics.wording import counted
from nexus_cli.plan.change import Action, Change, TagChange
from nexus_cli.plan.document import HazardEntry, ImpactEntry, PlanDocument
from nexus_cli.plan.measured import KEPT, PROTECTED, Measured, measured_entry, samples_text, unknowns_of
from nexus_cli.plan.probed import ProbeEntry
from nexus_cli.plan.unreachable import unreachable_entries
from nexus_cli.wire.control_facts import MeasuredSeries

BEFORE = ("impact", "load", "readers", "templates", "defaults")
"""The keys of a document that the measured ones follow, as far as it has them."""
OF_SERIES = frozenset({"data-loss", "series-break"})


def with_measures(
    document: PlanDocument,
    changes: Sequence[Change],
    measured: Measured,
    *,
    probe: Sequence[ProbeEntry] | None = None,
    unknown: Sequence[str] = (),
) -> PlanDocument:
    """The document with `measured`, `probe`, `unreachable` and `unknowns`, and with the counts at impacts and hazards.

    Args:
        document: As `plan_document` gave it.
        changes: Of the plan.
        measured: Facts of the runtime.
        probe: Trial reads; None when nothing was to be tried.
        unknown: What could not be tried, and why.
    """
    series = measured.series()
    added: dict[str, object] = {"measured": measured_entry(measured)}
    if probe is not None:
        added["probe"] = list(probe)
    if measured.unreachable:
        added["unreachable"] = unreachable_entries(measured.unreachable)
    added["unknowns"] = [*unknowns_of(measured), *unknown]
    after = [key for key in document if key in BEFORE][-1]
    found: dict[str, object] = {}
    for key, value in document.items():
        found[key] = value
        if key == after:
            found.update(added)
    found["impact"] = _impacts(document["impact"], changes, series)
    found["hazards"] = [_hazard(each, series) for each in document["hazards"]]
    return cast("PlanDocument", found)


def _impacts(
    impacts: Sequence[ImpactEntry], changes: Sequence[Change], series: Mapping[str, MeasuredSeries]
) -> list[ImpactEntry]:
    gone = {change.address: [tag for tag in change.tags if tag.action is Action.FORGET] for change in changes}
    found: list[ImpactEntry] = []
    for each in impacts:
        tags = gone.get(each["address"], ()) if each["plane"] == "series" else ()
        text = samples_text([series[tag.path] for tag in tags if tag.path in series])
        if text and "forgotten" in each["text"]:
            found.append({**each, "measured": f"{text}; {_until(tags)}"})
        else:
            found.append(each)
    return found


def _until(tags: Sequence[TagChange]) -> str:
    """How long the samples of forgotten tags stay."""
    protected = [tag.path for tag in tags if (tag.before or {}).get("keep_always")]
    if not protected:
        return KEPT
    return PROTECTED if len(protected) == len(tags) else f"{KEPT}; of {counted(len(protected), 'tag')}: {PROTECTED}"


def _hazard(hazard: HazardEntry, series: Mapping[str, MeasuredSeries]) -> HazardEntry:
    if hazard["name"] not in OF_SERIES or hazard["scope"] not in series:
        return hazard
    text = samples_text([series[hazard["scope"]]])
    return {**hazard, "measured": text} if text else hazard
