"""Worker processes: what can't be done is kept with its reason; one that stands still loses its jobs, and its late result is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from nexus_cli.database import jobs
from nexus_cli.database.connect import connection
from nexus_cli.settings import Settings
from tests.e2e.alarm_plant import SECOND, AlarmPlant
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.needs_broker, pytest.mark.needs_database]
ALARM = {"name": "poison", "state": "active", "since": 1, "occurrence": 1, "priority": "high"}
POISON: list[tuple[str, dict[str, Any], str]] = [
    ("deliver", {"alert": ALARM, "step": "active", "channel": "nobody"}, "there is no channel 'nobody' any more"),
    ("deliver", {"alert": "poison"}, "its payload names no alarm"),
    ("notify", {}, "its payload names no alarm"),
]


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AlarmPlant]:
    running = AlarmPlant(tmp_path_factory.mktemp("plant"), alarms={"frozen": "plain", "after": "plain"})
    try:
        running.start()
        yield running
    finally:
        running.stop()


def failed(plant: AlarmPlant) -> dict[int, str]:
    """Number and reason of the failed jobs, as the command line lists them."""
    listed = json.loads(plant.nexus("jobs", "list", "--state", "failed", "--format", "json"))["jobs"]
    return {one["id"]: one["reason"] for one in listed}


def test_poison_is_kept_with_its_reason_and_retried_when_it_is_cured(plant: AlarmPlant) -> None:
    settings = Settings(
        site=plant.site, database_url=plant.database.url, database_password=plant.database.password, home=plant.home
    )

    async def put() -> None:
        async with connection(settings) as conn:
            for kind, payload, _ in POISON:
                await jobs.enqueue(conn, plant.site, kind, payload)

    plant.hand.do(put())
    wait_until(lambda: len(failed(plant)) == len(POISON), "all poison is kept")
    found = failed(plant)
    assert [found[number] for number in sorted(found)] == [reason for *_, reason in POISON]
    plant.publish(["after"])
    wait_until(lambda: plant.receiver.has("after", "active"), "work goes on")
    plant.write_site(more=f', nobody: {{webhook: {{url: "{plant.receiver.url}/nobody"}}}}')
    plant.apply()
    number = min(found)
    plant.nexus("jobs", "retry", str(number))
    wait_until(lambda: plant.receiver.counts()["poison", "active", "nobody"] == 1, "the cured one is sent")
    plant.nexus("jobs", "discard", "--all")
    assert failed(plant) == {}
    audit = plant.query("SELECT what, subject FROM nexus.audit WHERE what LIKE '%-job' ORDER BY id")
    assert [tuple(row) for row in audit] == [
        ("retry-job", "deliver"),
        ("discard-job", "deliver"),
        ("discard-job", "notify"),
    ]


def test_a_worker_that_stands_still_loses_its_jobs_and_its_late_result_is_refused(plant: AlarmPlant) -> None:
    plant.receiver.hold("frozen", "active")
    plant.publish(["frozen"])
    wait_until(lambda: plant.receiver.has("frozen", "active"), "the first worker sends it")
    plant.freeze("worker")
    plant.start_part(SECOND)
    wait_until(lambda: plant.receiver.counts()["frozen", "active", "board"] == 2, "the second one sends it")
    plant.receiver.release()
    wait_until(lambda: not plant.jobs("deliver frozen "), "its job has ended")
    plant.freeze("worker", on=False)
    wait_until(lambda: plant.status("worker")["counters"]["late_results"] >= 1, "the late result is refused")
    first, second = [one for one in plant.receiver.heard if one["name"] == "frozen"]
    assert (first["repeated"], second["repeated"]) == (False, True)
    assert plant.notifications("frozen") == {("active", ""): "noted", ("active", "board"): "sent"}
    log = plant.query(
        "SELECT status::text, count(*) FROM nexus.job_log WHERE status = 'successful' AND entrypoint LIKE '%deliver' GROUP BY 1"
    )
    assert [tuple(row) for row in log] == [("successful", 3)]  # `after`, the cured one and this, each once
    assert plant.status(SECOND)["counters"]["late_results"] == 0
