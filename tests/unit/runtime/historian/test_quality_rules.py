"""Rules of quality in the historian: tags of others, and what gateways rejected."""

from __future__ import annotations

from nexus_cli.database.copy import FullRow
from nexus_cli.database.queries import ExternalDevice
from nexus_cli.model.config import QualityConfig, TagConfig
from nexus_cli.runtime.historian.external_rules import ExternalRules
from nexus_cli.wire.sample import Quality, Reason, unpack_status
from nexus_cli.wire.topic import Topics

TOPIC = "acme/plant/a/l/e/w"
SECOND = 1_000_000


def rules_of(rules: QualityConfig) -> ExternalRules:
    found = ExternalRules(Topics("acme", "plant"))
    tag = TagConfig(type="float64", range=(0.0, 10.0), quality=rules)
    found.load([ExternalDevice(path="a/l/e", globs=(), max_series=0, tags=("w",), ruled={"w": tag})])
    return found


def row(value: float, at_s: int, quality: int = 192) -> FullRow:
    return FullRow(at_s * SECOND, 7, value, None, None, None, quality, None, None)


def test_a_value_outside_its_range_is_rejected_with_its_rule() -> None:
    rules = rules_of(QualityConfig(range="reject"))
    assert rules.topics == {TOPIC}
    assert rules.judge(TOPIC, row(5.0, 1)) == (row(5.0, 1), None)
    kept, verdict = rules.judge(TOPIC, row(11.0, 2))
    assert kept is None
    assert verdict is not None
    assert (verdict.rule, verdict.detail) == ("range", "11 is outside [0, 10]")


def test_a_flag_makes_the_row_uncertain_with_the_reason() -> None:
    rules = rules_of(QualityConfig(range="flag", rate="flag", rate_above=2.0, flat="flag", flat_ms=5000))
    kept, _ = rules.judge(TOPIC, row(11.0, 1))
    assert kept is not None
    assert (kept.quality, unpack_status(kept.status)) == (int(Quality.UNCERTAIN), (Reason.OUT_OF_RANGE, 0))
    kept, _ = rules.judge(TOPIC, row(5.0, 2))
    assert kept is not None
    assert unpack_status(kept.status)[0] is Reason.RATE_OF_CHANGE
    assert rules.judge(TOPIC, row(5.0, 5))[0] == row(5.0, 5)
    kept, _ = rules.judge(TOPIC, row(5.0, 7))
    assert kept is not None
    assert unpack_status(kept.status)[0] is Reason.FLAT_LINE


def test_what_is_bad_stays_as_it_is_and_ends_what_is_known() -> None:
    rules = rules_of(QualityConfig(rate="reject", rate_above=2.0))
    rules.judge(TOPIC, row(1.0, 1))
    bad = row(9.0, 2, int(Quality.BAD))
    assert rules.judge(TOPIC, bad) == (bad, None)
    assert rules.judge(TOPIC, row(9.0, 3)) == (row(9.0, 3), None)


def test_a_deployment_that_leaves_a_rule_keeps_what_is_known() -> None:
    rules = rules_of(QualityConfig(rate="reject", rate_above=2.0))
    rules.judge(TOPIC, row(1.0, 1))
    tag = TagConfig(type="float64", range=(0.0, 10.0), quality=QualityConfig(rate="reject", rate_above=2.0))
    rules.load([ExternalDevice(path="a/l/e", globs=(), max_series=0, tags=("w",), ruled={"w": tag})])
    assert rules.judge(TOPIC, row(9.0, 2))[0] is None
    rules.load([])
    assert not rules.topics


def test_a_bool_has_no_rate_of_change_though_it_is_stored_as_a_number() -> None:
    rules = ExternalRules(Topics("acme", "plant"))
    rate = QualityConfig(rate="reject", rate_above=0.5, range="reject")
    tags = {"w": TagConfig(type="bool", quality=rate), "n": TagConfig(type="float64", quality=rate)}
    rules.load([ExternalDevice(path="a/l/e", globs=(), max_series=0, tags=("w", "n"), ruled=tags)])
    for at_s, value in ((1, 0.0), (2, 1.0), (3, 0.0)):
        assert rules.judge(TOPIC, row(value, at_s)) == (row(value, at_s), None)
    number = "acme/plant/a/l/e/n"
    assert rules.judge(number, row(0.0, 1))[0] is not None and rules.judge(number, row(1.0, 2))[0] is None
