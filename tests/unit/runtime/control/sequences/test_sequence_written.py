"""A sequence as it is written: each key from the YAML text to the run that goes by it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from pydantic import BaseModel

from nexus_cli.model.config import TagConfig
from nexus_cli.model.procedure_config import ParameterConfig, SequenceConfig, StepConfig
from nexus_cli.model.procedures import Parameter, Sequence, Step
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.project.text import load
from nexus_cli.runtime.control.sequences.admission import with_arguments
from nexus_cli.runtime.control.sequences.live_values import Condition, LiveValues, policy_of
from nexus_cli.source.document import Document
from nexus_cli.wire.topic import Topics
from tests.clock import FakeClock

SITE = """\
nexus: 1
enterprise: acme
site: chicago
areas:
  hall:
    lines:
      one:
        devices:
          oven:
            protocol: modbus
            connection: {host: 10.0.0.1}
            tags:
              temperature: {address: "holding:0", type: float32, unit: degC}
              setpoint: {address: "holding:2", type: float32, unit: degC, writable: true, range: [0, 90]}
messages:
  order:
    topic: orders/new
    schema: {type: object, properties: {number: {type: string}}}
sequences:
  plain:
    steps: [{wait: 1s}]
  warm-up:
    description: for the morning
    parameters:
      goal: {type: number, range: [10, 90], default: 40, description: how warm}
      mode: {type: string, values: [fast, slow], default: slow}
    requires: ["{hall/one/oven/temperature} < ${param:goal}"]
    timeout: 10m
    max_age: 7s
    uncertain: true
    on_change: abort
    steps:
      - {write: hall/one/oven/setpoint, value: "${param:goal}", expect: 0, timeout: 4s, description: heat}
      - {until: "{hall/one/oven/temperature} > 38", timeout: 5m}
      - {wait: 90s}
      - {publish: order, set: {number: "${param:mode}"}}
    on_abort:
      - {write: hall/one/oven/setpoint, value: 0}
"""
TEMPERATURE, SETPOINT = "hall/one/oven/temperature", "hall/one/oven/setpoint"
TOPICS = Topics("acme", "chicago")

WRITTEN = SequenceConfig(
    description="for the morning",
    parameters={
        "goal": ParameterConfig(type="float64", range=(10, 90), default=40, description="how warm"),
        "mode": ParameterConfig(type="string", values=["fast", "slow"], default="slow"),
    },
    requires=[f"{{{TEMPERATURE}}} < ${{param:goal}}"],
    timeout_ms=600_000,
    max_age_ms=7_000,
    uncertain=True,
    on_change="abort",
    steps=[
        StepConfig(
            do="write", subject=SETPOINT, value="${param:goal}", expect=0, expects=True, timeout_ms=4_000,
            description="heat",
        ),
        StepConfig(do="until", subject=f"{{{TEMPERATURE}}} > 38", timeout_ms=300_000),
        StepConfig(do="wait", wait_ms=90_000),
        StepConfig(do="publish", subject="order", fields={"number": "${param:mode}"}),
    ],
    on_abort=[StepConfig(do="write", subject=SETPOINT, value=0, timeout_ms=10_000)],
)  # fmt: skip


def snapshot(folder: Path, text: str = SITE) -> Snapshot:
    file = folder / "site.yaml"
    file.write_text(text)
    outcome = load(file)
    assert outcome.value is not None, outcome.findings
    return outcome.value.snapshot


def recorded(folder: Path, name: str, text: str = SITE) -> SequenceConfig:
    """The sequence as control has it: through the attributes of a deployment, in JSON."""
    attributes = orjson.loads(orjson.dumps(snapshot(folder, text).resources[f"sequence.{name}"]))
    return msgspec.convert(attributes, SequenceConfig)


def test_every_key_arrives_as_it_was_written(tmp_path: Path) -> None:
    assert recorded(tmp_path, "warm-up") == WRITTEN


def test_what_is_left_out_is_the_default_that_the_docs_give(tmp_path: Path) -> None:
    found = recorded(tmp_path, "plain")
    assert found == SequenceConfig(steps=[StepConfig(do="wait", wait_ms=1_000)])
    assert (found.timeout_ms, found.max_age_ms, found.uncertain, found.on_change) == (3_600_000, None, False, "refuse")


@pytest.mark.parametrize(
    ("model", "parts"),
    [
        (Sequence, ("warm-up",)),
        (Parameter, ("warm-up", "parameters")),
        (Step, ("warm-up", "steps")),
    ],
)
def test_the_site_above_uses_every_key_there_is(model: type[BaseModel], parts: tuple[str, ...]) -> None:
    """A key that is added to the language and dropped on its way is in neither."""
    written: Any = Document(SITE).value(("sequences", *parts))
    several = written if isinstance(written, list) else written.values() if parts[1:] else [written]
    used = {str(key) for one in several for key in one}
    assert used == {field.alias or name for name, field in model.model_fields.items()}


@pytest.mark.parametrize(
    ("keys", "age_s", "quality", "holds"),
    [
        ("", 14, "GOOD", True),
        ("", 16, "GOOD", None),
        ("", 0, "UNCERTAIN", None),
        ("max_age: 5s", 4, "GOOD", True),
        ("max_age: 5s", 6, "GOOD", None),
        ("max_age: 1m", 59, "GOOD", True),
        ("max_age: 1m", 59, "UNCERTAIN", None),
        ("uncertain: true", 0, "UNCERTAIN", True),
        ("uncertain: true", 16, "UNCERTAIN", None),
        ("uncertain: true", 0, "BAD", None),
        ("uncertain: false", 0, "UNCERTAIN", None),
    ],
)
def test_a_precondition_is_judged_by_the_terms_that_are_written(
    keys: str, age_s: float, quality: str, holds: bool | None, tmp_path: Path
) -> None:
    text = SITE.replace("    max_age: 7s\n    uncertain: true\n", f"    {keys}\n" if keys else "")
    config, _ = with_arguments("warm-up", recorded(tmp_path, "warm-up", text), {"goal": 50})
    found = snapshot(tmp_path, text).resources["device.hall/one/oven"]
    clock = FakeClock()
    values = LiveValues(TOPICS, clock=clock)
    values.gateways = {"hall/one/oven": str(found["gateway"])}
    values.want([TEMPERATURE])
    message = {"value": 45.0, "quality": quality, "unit": "degC", "timestamp": clock.now_us() // 1000}
    values.receive(TOPICS.tag(TEMPERATURE), orjson.dumps(message))
    clock.advance(age_s)
    (condition,) = config.requires
    tag = msgspec.convert(found["tags"]["temperature"], TagConfig)
    assert Condition(condition, {TEMPERATURE: tag}).holds(values, policy_of(config)) is holds
