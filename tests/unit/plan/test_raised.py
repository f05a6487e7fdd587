"""Consents for what protects devices and plants and is less strict after a change."""

from __future__ import annotations

from typing import Any

import pytest

from nexus_cli.plan.consents import consents_to
from nexus_cli.plan.hazards import blocked
from nexus_cli.plan.plan import Plan
from tests.unit.plan.test_plan import device, plan, snapshot


def changed(before: dict[str, Any], after: dict[str, Any], **keys: Any) -> Plan:
    host = {"host": "10.0.0.9", "port": 502}
    return plan(
        snapshot(device("a/l/one", connection=host | before)),
        snapshot(device("a/l/one", connection=host | after, **keys)),
    )


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ({"max_read": 20}, {"max_read": 125}, "max_read 20 -> 125 (asked at once)"),
        ({"max_read": 20}, {}, "max_read 20 -> 125 (asked at once)"),
        ({}, {"max_gap": 100}, "max_gap 50 -> 100 (unused places read along)"),
        ({"pause": 200}, {"pause": 50}, "pause 200ms -> 50ms (between requests)"),
        ({"pause": 200}, {}, "pause 200ms -> none (between requests)"),
        (
            {"max_write": 10, "pause": 200},
            {"max_write": 20, "pause": 100},
            "max_write 10 -> 20 (written at once), pause 200ms -> 100ms (between requests)",
        ),
    ],
)
def test_a_device_that_may_be_asked_more_needs_a_consent(
    before: dict[str, Any], after: dict[str, Any], words: str
) -> None:
    found = changed(before, after)
    (hazard,) = found.hazards
    assert (hazard.name, hazard.scope, hazard.address) == ("over-budget", "a/l/one", "device.a/l/one")
    assert hazard.message == f"a/l/one may be asked more than before: {words}"
    assert consents_to(found.hazards) == ["over-budget=a/l/one"]
    assert not blocked(found.hazards, ["over-budget=a/l/one"])
    assert changed(after, before).hazards == (), "the way back is stricter"


@pytest.mark.parametrize(
    ("before", "after"), [({}, {"max_read": 20}), ({}, {"pause": 200}), ({"max_read": 20}, {"max_read": 20})]
)
def test_a_limit_that_is_new_or_kept_is_no_hazard(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert changed(before, after).hazards == ()


def limited(mass_change: object) -> dict[str, Any]:
    place = {"enterprise": "acme", "site": "chicago"}
    return {"site": place if mass_change is None else place | {"mass_change": mass_change}}


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (0.2, 0.5, "devices 20% -> 50%, tags 20% -> 50%, series 20% -> 50%, rights 20% -> 50%"),
        ({"series": 0.01}, None, "series 1% -> no limit"),
        ({"series": 0.01, "devices": 0.2}, {"series": 0.01, "devices": 0.25}, "devices 20% -> 25%"),
        ({"series": 0.01}, {"devices": 0.01}, "series 1% -> no limit"),
        (1, None, "devices 100% -> no limit, tags 100% -> no limit, series 100% -> no limit, rights 100% -> no limit"),
    ],
)
def test_a_plan_that_raises_the_limits_of_the_site_needs_a_consent(before: object, after: object, words: str) -> None:
    one = device("a/l/one")
    found = plan(snapshot(one, **limited(before)), snapshot(one, **limited(after)))
    (hazard,) = found.hazards
    assert (hazard.name, hazard.scope, hazard.address) == ("policy-change", "limits", "site")
    assert hazard.message == f"one deployment may change more without consent from then on: {words}"
    assert consents_to(found.hazards) == ["policy-change=limits"]


def test_a_stricter_limit_of_the_site_is_no_hazard() -> None:
    one = device("a/l/one")
    for before, after in ((None, 0.2), (0.2, 0.1), (0.2, {"devices": 0.2, "tags": 0.2, "series": 0.2, "rights": 0.1})):
        assert plan(snapshot(one, **limited(before)), snapshot(one, **limited(after))).hazards == ()
