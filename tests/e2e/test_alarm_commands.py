"""`nexus alarms` and `nexus validate --with-history` as a person uses them, against a plant that runs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.alarm_plant import DEVICE, AlarmPlant
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.needs_broker, pytest.mark.needs_database]
NOISE = 120
"""Values of the last two hours, every second one above the limit."""


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AlarmPlant]:
    running = AlarmPlant(
        tmp_path_factory.mktemp("plant"), alarms={"oven": "plain"}, quiet=("noisy",), more_roles=("historian",)
    )
    try:
        running.start()
        running.wait_ready("historian")
        yield running
    finally:
        running.stop()


def said(plant: AlarmPlant, *arguments: str) -> Any:
    return json.loads(plant.nexus("alarms", *arguments, "--format", "json"))


def state(plant: AlarmPlant) -> str:
    [oven] = said(plant, "list", "--all")["alerts"]
    return str(oven["state"])


def test_a_day_of_an_alarm_on_the_command_line(plant: AlarmPlant) -> None:
    assert state(plant) == "cleared"
    plant.publish(["oven"], 99.0)
    wait_until(lambda: state(plant) == "active", "the alarm")
    assert "oven" in plant.nexus("alarms", "list", "--priority", "high")
    assert said(plant, "list", "--priority", "low")["alerts"] == []
    why = plant.nexus("alarms", "why", "oven")
    assert f"{DEVICE}/oven" in why and "99" in why
    wait_until(
        lambda: (
            [(one["step"], one["channel"], one["state"]) for one in said(plant, "why", "oven")["notified"]]
            == [("active", "board", "sent")]
        ),
        "the board was told, and it is said",
    )
    assert "told board" in plant.nexus("alarms", "why", "oven")
    assert "oven" in plant.nexus("alarms", "ack", "oven")
    assert state(plant) == "acknowledged"
    again = plant.cli("alarms", "ack", "oven")
    assert again.returncode != 0 and "NX6407" in again.stdout + again.stderr
    plant.publish(["oven"], 1.0)
    wait_until(lambda: state(plant) == "cleared", "the end of the condition")
    plant.nexus("alarms", "shelve", "oven", "--for", "1h", "--reason", "the probe is being replaced")
    plant.publish(["oven"], 99.0)
    wait_until(lambda: state(plant) == "active", "it follows its condition")
    plant.nexus("alarms", "unshelve", "oven")

    lines = [line for line in said(plant, "journal", "--since", "1h")["lines"] if line["name"] == "oven"]
    kinds = [line["kind"] for line in sorted(lines, key=lambda line: line["at"])]
    assert kinds[:4] == ["active", "acknowledged", "cleared", "shelved"] and "unshelved" in kinds
    [shelved] = [line for line in lines if line["kind"] == "shelved"]
    assert "the probe is being replaced" in json.dumps(shelved)
    audit = plant.nexus("audit", "--kind", "alert", "--format", "json")
    assert "the probe is being replaced" in audit

    found = said(plant, "kpi", "--since", "1h")
    assert "oven" in json.dumps(found)
    told = plant.nexus("alarms", "kpi", "--since", "1h", "--operators", "2")
    assert "10 min" in told


def test_declared_alarms_are_tried_on_the_stored_history(plant: AlarmPlant) -> None:
    """A tag that was noisy: an alarm on it would have chattered and used an operator up; nothing is applied for it."""
    now_ms = time.time_ns() // 1_000_000
    times = [now_ms - 7_200_000 + number * 20_000 for number in range(NOISE)]
    plant.say(("noisy", {"value": 99.0 if at % 2 else 10.0, "timestamp": ms}) for at, ms in enumerate(times))
    stored = "SELECT count(*) FROM nexus.sample x JOIN nexus.series s ON s.id = x.series_id WHERE s.path = $1"
    wait_until(lambda: plant.query(stored, f"{DEVICE}/noisy")[0][0] == NOISE, "the history")
    plant.write_site()
    site = plant.folder / "site.yaml"
    text = site.read_text()
    site.write_text(
        text.replace(
            "alerts: {", f"alerts: {{noise: {{tag: {DEVICE}/noisy, above: 50, priority: high, group: plain}}, "
        )
    )
    done = plant.cli("validate", "site.yaml", "--with-history", "--since", "3h")
    assert "NX6433" in done.stdout and "'noise'" in done.stdout, done.stdout + done.stderr
    assert "NX6435" in done.stdout
    calm = site.read_text().replace(
        "above: 50, priority: high, group: plain}, ", "above: 500, priority: high, group: plain}, "
    )
    site.write_text(calm)
    done = plant.cli("validate", "site.yaml", "--with-history", "--since", "3h")
    assert (done.returncode, "noise" in done.stdout) == (0, False), done.stdout + done.stderr
