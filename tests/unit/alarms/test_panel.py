"""Alerts together: states of alarms, holds, suppression, cascades, floods."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest

from nexus_cli.alarms.flood import Flood
from nexus_cli.alarms.panel import Now, Panel
from nexus_cli.alarms.values import Reading
from nexus_cli.model.resources import AlertConfig
from nexus_cli.wire.alert import AlertEvent
from nexus_cli.wire.sample import Quality


class Site:
    """A panel whose time is a number of seconds, with one tag an alert (`a/l/d/NAME`) unless it names another."""

    def __init__(self, **alerts: dict[str, Any]) -> None:
        self.told: list[tuple[str, str, bool]] = []
        self.floods: list[tuple[Flood, bool]] = []
        self.panel = Panel(changed=self._changed, flooded=lambda flood, begins: self.floods.append((flood, begins)))
        self.at_s = 0.0
        self.load(**alerts)

    def _changed(self, name: str, events: list[AlertEvent]) -> None:
        self.told += [(name, event.kind, event.held) for event in events]

    def load(self, **alerts: dict[str, Any]) -> None:
        configs = {
            name: AlertConfig(**{"tag": f"a/l/d/{name}", "above": 1.0, "priority": "high", **keys})
            for name, keys in alerts.items()
        }
        self.panel.load(configs, self.now)

    @property
    def now(self) -> Now:
        return Now(round(self.at_s * 1e6), self.at_s)

    def value(self, name: str, value: Any, at_s: float | None = None) -> None:
        self.at_s = self.at_s if at_s is None else at_s
        self.panel.tick(self.now)
        self.panel.feed(f"a/l/d/{name}", Reading(value, Quality.GOOD), self.now)

    def until(self, at_s: float) -> None:
        while (due_s := self.panel.due_s()) is not None and due_s <= at_s:
            self.at_s = max(self.at_s, due_s)
            self.panel.tick(self.now)
        self.at_s = at_s

    def act(self, name: str, what: str, **keys: Any) -> bool:
        now = self.now
        times = {"time_us": now.us} | ({"at_s": now.s} if what == "shelve" else {})
        return self.panel.act(name, now, lambda alert: getattr(alert, what)(**keys, **times))

    def state(self, name: str) -> str:
        return self.panel.alerts[name].state.value

    def take(self) -> list[tuple[str, str, bool]]:
        found, self.told = self.told, []
        return found


def test_an_alarm_that_returned_waits_for_a_person() -> None:
    site = Site(hot={}, plain={"priority": ""})
    for name in ("hot", "plain"):
        site.value(name, 2.0)
        site.value(name, 0.0, site.at_s + 1)
    assert (site.state("hot"), site.state("plain")) == ("returned", "cleared")
    assert site.act("hot", "acknowledge", who="ann") and site.state("hot") == "cleared"
    assert not site.act("hot", "acknowledge", who="ann"), "nobody has to"
    assert [kind for name, kind, _ in site.take() if name == "hot"] == ["active", "returned", "acknowledged"]


def test_a_returned_alarm_that_comes_again_is_another_occurrence() -> None:
    site = Site(hot={})
    site.value("hot", 2.0, 1)
    site.value("hot", 0.0, 2)
    first = site.panel.alerts["hot"].occurrence_us
    site.value("hot", 2.0, 3)
    alert = site.panel.alerts["hot"]
    assert site.state("hot") == "active" and first < alert.occurrence_us == alert.since_us
    site.act("hot", "acknowledge", who="ann")
    assert alert.occurrence_us < alert.since_us, "acknowledging is no new occurrence"


def test_a_shelf_ends_by_itself_and_the_alarm_comes_anew() -> None:
    site = Site(hot={})
    site.value("hot", 2.0, 1)
    site.act("hot", "acknowledge", who="ann")
    site.act("hot", "shelve", who="ann", reason="probe", for_s=600.0)
    site.take()
    site.until(600.9)
    assert site.take() == [] and site.panel.alerts["hot"].held
    site.until(601.1)
    assert site.take() == [("hot", "unshelved", False), ("hot", "active", False)]
    assert site.state("hot") == "active" and not site.panel.alerts["hot"].held


def test_what_comes_and_goes_on_the_shelf_asks_for_nobody() -> None:
    site = Site(hot={})
    site.act("hot", "shelve", who="ann", reason="probe", for_s=600.0)
    site.value("hot", 2.0, 10)
    site.value("hot", 0.0, 20)
    assert site.state("hot") == "cleared", "not returned: nobody was asked"
    assert site.take() == [("hot", "shelved", True), ("hot", "active", True), ("hot", "cleared", True)]
    site.until(700)
    assert site.take() == [("hot", "unshelved", False)]
    assert not site.act("hot", "unshelve", who="ann")


def test_out_of_service_ends_when_a_person_says_so() -> None:
    site = Site(hot={}, after={"suppressed_by": ["hot"]})
    site.value("hot", 2.0, 1)
    assert site.panel.alerts["after"].suppressed_by == "hot"
    assert site.act("hot", "take_out", who="ann", reason="no probe") and not site.act(
        "hot", "take_out", who="ann", reason="again"
    )
    assert site.panel.alerts["after"].suppressed_by == "", "one out of service says nothing about the plant"
    site.until(1e6)
    assert site.panel.alerts["hot"].out is not None
    site.take()
    assert site.act("hot", "take_in", who="bob")
    assert [kind for name, kind, _ in site.take() if name == "hot"] == ["in-service", "active"]
    assert site.panel.alerts["after"].suppressed_by == "hot"


def test_two_holds_end_one_by_one() -> None:
    site = Site(hot={}, cause={"priority": ""}, effect={"suppressed_by": ["cause"]})
    site.value("effect", 2.0, 1)
    site.value("cause", 2.0, 2)
    site.act("effect", "shelve", who="ann", reason="", for_s=100.0)
    site.take()
    site.value("cause", 0.0, 50)
    assert ("effect", "active", False) not in site.take(), "still on the shelf"
    site.until(103)
    assert ("effect", "active", False) in site.take()


def test_a_chain_of_causes_and_one_value_for_all_of_them() -> None:
    """One tag: the alert that suppresses is looked at first, whatever the order in the file."""
    low = {"tag": "a/l/d/level", "above": None, "priority": "low"}
    site = Site(
        warn={**low, "below": 20.0, "suppressed_by": ["low"]},
        low={**low, "below": 10.0, "suppressed_by": ["empty"]},
        empty={**low, "below": 1.0},
    )
    site.value("level", 0.5)
    assert [(name, held) for name, kind, held in site.take() if kind == "active"] == [
        ("empty", False),
        ("low", True),
        ("warn", True),
    ]
    site.value("level", 5.0, 10)
    assert [each for each in site.take() if each[1] in ("active", "unsuppressed")] == [
        ("low", "unsuppressed", False),
        ("low", "active", False),
    ], "warn is still suppressed, by low"


def test_a_circle_of_suppression_ends() -> None:
    site = Site(a={"suppressed_by": ["b"]}, b={"suppressed_by": ["a"]})
    site.value("a", 2.0, 1)
    site.value("b", 2.0, 2)
    assert site.panel.alerts["b"].suppressed_by == "a"
    site.value("a", 0.0, 3)
    site.value("b", 0.0, 4)
    assert not site.panel.alerts["a"].suppressed_by and not site.panel.alerts["b"].suppressed_by


def test_first_out_is_the_first_of_its_group_until_all_are_answered() -> None:
    site = Site(a={"group": "oven"}, b={"group": "oven"}, c={"group": "press"}, d={"group": "oven", "priority": ""})
    for at_s, name in enumerate(("d", "a", "b", "c")):
        site.value(name, 2.0, at_s)
    first = {name: alert.first_out for name, alert in site.panel.alerts.items()}
    assert first == {"a": True, "b": False, "c": True, "d": False}
    site.act("a", "acknowledge", who="ann")
    site.value("a", 0.0, 10)
    site.value("a", 2.0, 11)
    assert not site.panel.alerts["a"].first_out, "b was not answered"
    for name in ("a", "b"):
        site.act(name, "acknowledge", who="ann")
    site.value("b", 0.0, 20)
    site.value("b", 2.0, 21)
    assert site.panel.alerts["b"].first_out


def test_a_flood_begins_above_ten_and_ends_below_five() -> None:
    site = Site(**{f"n{number}": {} for number in range(12)}, plain={"priority": ""})
    for number in range(10):
        site.value(f"n{number}", 2.0, float(number))
    site.value("plain", 2.0, 10.0)
    assert site.floods == []
    site.value("n10", 2.0, 20.0)
    assert site.floods == [(Flood(20.0, None, 11, 11), True)]
    site.value("n11", 2.0, 30.0)
    site.until(606.9)
    assert len(site.floods) == 1, "n7 to n11: five are left"
    site.until(607.1)
    assert site.floods[1:] == [(Flood(20.0, 607.0, 12, 12), False)], "four"


def test_held_alarms_make_no_flood() -> None:
    site = Site(cause={"priority": ""}, **{f"n{number}": {"suppressed_by": ["cause"]} for number in range(20)})
    site.value("cause", 2.0)
    for number in range(20):
        site.value(f"n{number}", 2.0, 1.0)
    assert site.floods == [] and not any(alert.first_out for alert in site.panel.alerts.values())
    site.value("cause", 0.0, 2.0)
    assert len(site.floods) == 1, "when the cause is gone and they stay, all of them ask"


def test_a_priority_that_is_taken_away_leaves_nothing_returned() -> None:
    site = Site(hot={})
    site.value("hot", 2.0, 1)
    site.value("hot", 0.0, 2)
    site.load(hot={"priority": ""})
    assert site.state("hot") == "cleared" and site.take()[-1] == ("hot", "cleared", False)


def test_a_value_costs_the_alerts_on_its_tag() -> None:
    site = Site(**{f"n{number}": {} for number in range(5000)})
    calls: list[str] = []
    for name, alert in site.panel.alerts.items():
        take = alert.condition.take
        alert.condition.take = lambda *more, take=take, name=name, **keys: (calls.append(name), take(*more, **keys))  # type: ignore[method-assign]
    site.value("n7", 2.0)
    assert calls == ["n7"]


def ticks_of(site: Site, until_s: float) -> int:
    """How often it has to be asked until then."""
    count = 0
    while (due_s := site.panel.due_s()) is not None and due_s <= until_s and count < 100:
        site.at_s = max(site.at_s, due_s)
        site.panel.tick(site.now)
        count += 1
    return count


@pytest.mark.parametrize(
    ("keys", "values"),
    [
        ({"unchanged_for_ms": 60_000}, [(1, 1.0), (2, None)]),
        ({"unchanged_for_ms": 60_000, "for_ms": 900_000}, [(1, 1.0)]),
        ({"no_data_for_ms": 60_000, "on_bad": "clear"}, [(1, 1.0), (2, None)]),
        ({"rate_above": 5.0, "rate_per_ms": 10_000, "clear_after_ms": 900_000}, [(1, 1.0), (2, 10.0)]),
    ],
)
def test_what_is_due_and_decides_nothing_is_not_asked_again_and_again(keys: dict[str, Any], values: list[Any]) -> None:
    site = Site(one={"above": None, **keys})
    for at_s, value in values:
        site.until(at_s)
        quality = Quality.BAD if value is None else Quality.GOOD
        site.panel.feed("a/l/d/one", Reading(value, quality), site.now)
    assert 0 < ticks_of(site, 600) < 10


def test_an_alert_on_another_tag_without_a_value_says_that_no_data_come() -> None:
    site = Site(silent={"above": None, "no_data_for_ms": 60_000})
    site.value("silent", 1.0, 1)
    site.load(silent={"above": None, "no_data_for_ms": 60_000, "tag": "a/l/d/other"})
    site.until(60)
    assert site.state("silent") == "cleared"
    site.until(61.1)
    assert site.state("silent") == "active"


def test_a_shelf_ends_also_where_the_alert_has_another_tag_without_a_value() -> None:
    site = Site(hot={"for_ms": 5_000})
    site.value("hot", 2.0, 1)
    site.act("hot", "shelve", for_s=30.0, who="ann", reason="")
    site.load(hot={"tag": "a/l/d/other", "for_ms": 5_000})
    assert ticks_of(site, 30) == 0
    assert ticks_of(site, 600) == 1 and site.panel.alerts["hot"].shelf is None
    assert site.state("hot") == "cleared", "no value of the other tag says that it is hot"


def test_a_rate_begins_anew_when_its_device_was_changed() -> None:
    keys = {"above": None, "rate_above": 50.0, "rate_per_ms": 60_000}
    site = Site(flow=keys)
    site.value("flow", 5.0, 1)
    configs = {name: alert.config for name, alert in site.panel.alerts.items()}
    site.panel.load(configs, site.now, kept=["flow"])
    site.panel.load(configs, site.now)
    site.value("flow", 5000.0, 2)  # g, and no longer kg
    assert site.state("flow") == "cleared"
    site.value("flow", 5051.0, 3)
    assert site.state("flow") == "active"


def in_unit(site: Site, unit: str, kept: Collection[str] = (), **keys: Any) -> None:
    """Load `hot` with these keys, its tag published in this unit."""
    config = AlertConfig(tag="a/l/d/hot", priority="high", **keys)
    site.panel.load({"hot": config}, site.now, units={"a/l/d/hot": unit}, kept=kept)


def give(site: Site, value: float, unit: str) -> None:
    site.panel.feed("a/l/d/hot", Reading(value, Quality.GOOD, unit=unit), site.now)


@pytest.mark.parametrize("answered_first", [True, False])
def test_a_value_in_the_unit_of_before_says_nothing_about_the_limits_of_now(answered_first: bool) -> None:
    """The same 110 degC all the time: the alarm that a person has acknowledged stays as it is."""
    site = Site()
    in_unit(site, "degC", above=100.0)
    give(site, 110.0, "degC")
    assert site.act("hot", "acknowledge", who="ann")
    site.take()
    in_unit(site, "degF", kept=["hot"], above=212.0)
    give(site, 110.0, "degC")
    if not answered_first:
        give(site, 230.0, "degF")
    in_unit(site, "degF", above=212.0)
    give(site, 110.0, "degC") if answered_first else None  # a late one
    give(site, 230.0, "degF")
    assert site.state("hot") == "acknowledged" and site.take() == []
    give(site, 194.0, "degF")
    assert site.state("hot") == "cleared"


@pytest.mark.parametrize("for_ms", [0, 5_000])
def test_no_alarm_of_a_unit_that_changes(for_ms: int) -> None:
    """90 degC all the time, 194 degF: neither is beyond its limit."""
    site = Site()
    in_unit(site, "degF", above=212.0, for_ms=for_ms)
    give(site, 194.0, "degF")
    in_unit(site, "degC", kept=["hot"], above=100.0, for_ms=for_ms)
    give(site, 90.0, "degC")
    give(site, 194.0, "degF")
    in_unit(site, "degC", above=100.0, for_ms=for_ms)
    site.until(60.0)
    give(site, 90.0, "degC")
    site.until(120.0)
    assert site.state("hot") == "cleared" and site.take() == []


def test_a_delay_does_not_end_on_a_value_in_another_unit() -> None:
    site = Site()
    in_unit(site, "degC", above=100.0, for_ms=5_000)
    give(site, 110.0, "degC")
    in_unit(site, "degF", above=300.0, for_ms=5_000)
    site.until(60.0)
    assert site.state("hot") == "cleared"
    give(site, 230.0, "degF")
    site.until(120.0)
    assert site.state("hot") == "cleared", "230 is not above 300"


def test_a_scale_that_is_mended_with_its_limit_raises_nothing_while_the_gateway_changes() -> None:
    site = Site()
    in_unit(site, "bar", above=10.0)
    give(site, 9.5, "bar")
    in_unit(site, "bar", kept=["hot"], above=100.0)
    give(site, 95.0, "bar")
    assert site.state("hot") == "cleared"
    in_unit(site, "bar", above=100.0)
    assert site.state("hot") == "cleared"
    give(site, 101.0, "bar")
    assert site.state("hot") == "active"


def test_what_changes_nothing_of_a_condition_is_watched_all_the_time() -> None:
    site = Site()
    in_unit(site, "bar", above=10.0)
    in_unit(site, "bar", kept=["hot"], above=10.0, group="other")
    give(site, 11.0, "bar")
    assert site.state("hot") == "active"


def test_values_without_a_unit_and_bad_ones_count_whatever_the_unit_is() -> None:
    site = Site()
    in_unit(site, "bar", above=10.0, on_bad="raise")
    give(site, 11.0, "")
    assert site.state("hot") == "active"
    give(site, 9.0, "bar")
    site.panel.feed("a/l/d/hot", Reading(None, Quality.BAD, unit="psi"), site.now)
    assert site.state("hot") == "active"
