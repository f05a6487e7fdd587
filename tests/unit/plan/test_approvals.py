"""Whether a plan says that it has to be approved, by the rules on record."""

from __future__ import annotations

from typing import Any

import pytest

from nexus_cli.cli.views.plan_markdown import plan_markdown
from nexus_cli.model.policy_config import APPROVALS
from nexus_cli.plan.approvals import approvals_needed
from nexus_cli.plan.hazards import Hazard
from nexus_cli.plan.text import plan_text
from tests.unit.plan.test_plan import device, outcome, snapshot
from tests.unit.plan.test_text import document, plain

RULES: dict[str, Any] = {"keys": {"bob": "b", "ann": "a"}, "required": 2}
LOSS = Hazard(name="data-loss", scope="a/l/one/energy", address="device.a/l/one", message="")
CHANGES = outcome(snapshot(device("a/l/one")), snapshot(device("a/l/one", description="meter"))).unwrap().changes
BOTH = {"required": 2, "keys": ["ann", "bob"]}


@pytest.mark.parametrize(
    ("rules", "hazards", "needed"),
    [
        (RULES, (), BOTH),
        ({**RULES, "hazards": ["data-loss"]}, (), None),
        ({**RULES, "hazards": ["data-loss"]}, (LOSS,), BOTH),
        ({**RULES, "paths": ["a/l/**"]}, (), BOTH),
        ({**RULES, "paths": ["b/**"]}, (), None),
    ],
)
def test_the_rules_on_record_say_what_has_to_be_signed(
    rules: dict[str, Any], hazards: tuple[Hazard, ...], needed: object
) -> None:
    recorded = {APPROVALS: rules}
    assert approvals_needed(recorded, {}, {APPROVALS: ""}, CHANGES, hazards) == needed
    assert approvals_needed({}, recorded, {APPROVALS: ""}, CHANGES, hazards) == needed, "the same on both sides"
    assert approvals_needed({}, recorded, {}, CHANGES, hazards) is None, "declared, and not on record yet"
    assert approvals_needed(recorded, {}, {APPROVALS: ""}, (), hazards) is None, "nothing to do"


def test_a_plan_names_them_and_their_names_are_text() -> None:
    found: Any = document(snapshot(device("a/l/one")), snapshot(device("a/l/one", description="meter")))
    assert "approvals" not in found and "Needs" not in plan_text(found, style=plain)
    found["approvals"] = {"required": 1, "keys": ["@team", "bob"]}
    assert "\nNeeds approval: 1 approval, by @team, bob (`nexus approve`)\n" in plan_text(found, style=plain)
    assert "\n- Needs 1 approval, by " in plan_markdown(found) and "@team, bob" not in plan_markdown(found)
