"""What the policies say of a plan: those on record and those that it declares, judged alike by plan and control. Pure.

A plan can't take away the policy that forbids it: of a policy that changes, both versions hold. Policies of the declared
state look at what the plan writes, and at the whole site where they are new or changed.

See docs/decisions/0102.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

import msgspec

from nexus_cli.model.calendar import zone_named
from nexus_cli.model.policy_config import POLICY, PolicyConfig
from nexus_cli.model.policy_names import ChangeFact, HazardFact, Moment, PlanFact
from nexus_cli.model.policy_rules import STATE, Rule, compile_policy, state_facts
from nexus_cli.model.snapshot import Attributes
from nexus_cli.plan.change import Action, Change, TagChange
from nexus_cli.plan.hazards import Hazard

OVERRIDE = "policy"
"""The hazard of a violated policy that may be overridden; its scope is the policy's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A policy that a plan violates.

    Attributes:
        name, owner: Of the policy.
        severity: `error`, `warning` or `info`.
        message: What it demands, one sentence.
        subject: What it looks at.
        paths: What violates it, sorted; the site's plan itself is "plan".
        overridable: A consent applies all the same.
        recorded: It is the version on record.
        wants_reason: It reads the reason, and none was given.
    """

    name: str
    severity: str
    owner: str
    message: str
    subject: str
    paths: tuple[str, ...]
    overridable: bool
    recorded: bool
    wants_reason: bool = False

    @property
    def hint(self) -> str:
        """What helps, and who decides."""
        reason = "say why with --reason TEXT" if self.wants_reason else ""
        owner = f"its owner is {self.owner}" if self.owner else ""
        return "; ".join(filter(None, (reason, owner)))

    @property
    def blocking(self) -> bool:
        """Whether no consent helps."""
        return self.severity == "error" and not self.overridable


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """A policy that holds for a plan.

    Attributes:
        recorded: It is on record, in this form.
        new: The plan brings it, or changes it: it looks at the whole site.
    """

    rule: Rule
    recorded: bool
    new: bool


def rules_in_force(recorded: Mapping[str, Attributes], declared: Mapping[str, Attributes]) -> tuple[InForce, ...]:
    """The policies that hold, by name: those on record first, then those that the plan brings.

    Args:
        recorded, declared: Attributes of the resources `policy.NAME`, by address.

    Raises:
        msgspec.ValidationError, ValueError: One can't be judged.
    """
    found = [InForce(rule=_rule(name, one), recorded=True, new=False) for name, one in sorted(recorded.items())]
    fresh = [(name, one) for name, one in sorted(declared.items()) if recorded.get(name) != one]
    return (*found, *(InForce(rule=_rule(name, one), recorded=False, new=True) for name, one in fresh))


def looks_at_whole_site(rules: Iterable[InForce]) -> bool:
    """Whether a judgement needs every device, also those that the plan leaves alone."""
    return any(one.new and one.rule.config.subject in STATE for one in rules)


def _rule(address: str, attributes: Attributes) -> Rule:
    name = address.removeprefix(POLICY)
    outcome = compile_policy(name, msgspec.convert(attributes, PolicyConfig))
    if outcome.value is None:
        raise ValueError("; ".join(one.message for one in outcome.findings))
    return outcome.value


def moment_of(at: datetime, *, zone: str, reason: str) -> Moment:
    """When and why: the clock in the site's time zone, UTC where it names none or one that is not known here."""
    try:
        here: tzinfo = zone_named(zone or "UTC")
    except ValueError:
        here = UTC
    return Moment(at=at.astimezone(here), reason=reason.strip())


def judge(
    rules: Sequence[InForce],
    *,
    changes: Sequence[Change],
    hazards: Sequence[Hazard],
    devices: Iterable[Attributes],
    first: bool,
    moment: Moment,
) -> tuple[Violation, ...]:
    """Every policy that is violated, in the order of the rules.

    Args:
        rules: As `rules_in_force` gave them.
        changes: The plan's.
        hazards: The plan's, those of policies apart.
        devices: Every device after the plan, where `looks_at_whole_site` asks for them.
        first: Nothing was recorded before.
        moment: When and why.
    """
    whole = tuple(devices) if looks_at_whole_site(rules) else ()
    facts = _facts(changes, hazards, first=first, moment=moment)
    found = []
    for one in rules:
        paths = tuple(sorted(set(_violating(one, changes, facts, whole))))
        if paths:
            config = one.rule.config
            found.append(
                Violation(
                    name=one.rule.name,
                    severity=config.severity,
                    owner=config.owner,
                    message=one.rule.sentence(),
                    subject=config.subject,
                    paths=paths,
                    overridable=config.overridable,
                    recorded=one.recorded,
                    wants_reason=not moment.reason and one.rule.reads("reason"),
                )
            )
    return tuple(found)


def override_hazards(violations: Iterable[Violation]) -> tuple[Hazard, ...]:
    """Of violated policies that a consent overrides, one for each policy."""
    return tuple(
        {
            one.name: Hazard(name=OVERRIDE, scope=one.name, address=POLICY + one.name, message=violation_text(one))
            for one in violations
            if one.severity == "error" and one.overridable
        }.values()
    )


def violation_text(one: Violation, *, most: int = 3) -> str:
    """`policy NAME (owner): message: PATHS`, one line."""
    owner = f" ({one.owner})" if one.owner else ""
    more = f" and {len(one.paths) - most:,} more" if len(one.paths) > most else ""
    return f"policy {one.name}{owner}: {one.message}: {', '.join(one.paths[:most])}{more}"


def _violating(
    one: InForce,
    changes: Sequence[Change],
    facts: Mapping[str, Sequence[tuple[str, object]]],
    whole: Sequence[Attributes],
) -> Iterator[str]:
    rule = one.rule
    if rule.config.subject not in STATE:
        for path, fact in facts[rule.config.subject]:
            if rule.covers(path) and rule.violated(fact):
                yield path
        return
    if one.new:
        judged = (fact for device in whole for fact in state_facts(rule, device))
        yield from (fact.path for fact in judged if rule.covers(fact.path) and rule.violated(fact))
        return
    for change in changes:
        if change.type == "device" and change.after is not None:
            for fact in state_facts(rule, change.after, only=_written(change)):
                if rule.covers(fact.path) and rule.violated(fact):
                    yield fact.path


def _written(change: Change) -> frozenset[str] | None:
    """The tags that a change of a device writes; None where what they have from the device may differ."""
    if change.action is not Action.UPDATE or change.keys:
        return None
    return frozenset(tag.path.rpartition("/")[2] for tag in change.tags if tag.after is not None)


def _facts(
    changes: Sequence[Change], hazards: Sequence[Hazard], *, first: bool, moment: Moment
) -> dict[str, Sequence[tuple[str, object]]]:
    """What policies of a plan look at, by subject, each with the path that `where` has to cover."""
    listed: list[tuple[str, object]] = []
    counts: Counter[str] = Counter()
    for change in changes:
        counts[change.action.value] += 1
        listed.append((change.name, _change(change.type, change.action, change.name, change, moment)))
        for tag in change.tags:
            counts[f"tags_{tag.action.value}"] += 1
            listed.append((tag.path, _change("tag", tag.action, tag.path, tag, moment)))
    dangers = [
        (one.scope, HazardFact(hazard=one.name, scope=one.scope, address=one.address, moment=moment)) for one in hazards
    ]
    plan = PlanFact(counts=counts, hazards=len(hazards), first=first, moment=moment)
    return {"change": listed, "hazard": dangers, "plan": [("plan", plan)]}


def _change(type_: str, action: Action, path: str, sides: Change | TagChange, moment: Moment) -> ChangeFact:
    return ChangeFact(type_, action.value, path, sides.before or {}, sides.after or {}, moment)
