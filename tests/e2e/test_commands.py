"""Commands, sequences and messages through a whole runtime, with parts killed midway. The device counts its writes."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from nexus_cli.wire.client import BrokerClient
from tests.e2e.commanded import PATH, TOPICS, Commanded
from tests.waiting import wait_until

pytestmark = [pytest.mark.needs_broker, pytest.mark.needs_database]


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commanded]:
    one = Commanded(tmp_path_factory.mktemp("commanded"))
    try:
        one.start()
        yield one
    finally:
        one.stop()


@pytest.fixture
def plant(runtime: Commanded) -> Iterator[Commanded]:
    """Every test begins with a drive at rest that is reached."""
    for part in ("broker", "gateway", "control", "historian"):
        if part != "broker" and part not in runtime.processes:
            runtime.start_part(part)
    for role in ("control", "gateway", "historian"):
        runtime.wait_ready(role)
    wait_until(
        lambda: {one["state"] for one in runtime.status("gateway")["links"].values()} == {"connected"},
        "the link",
    )
    wait_until(lambda: runtime.status("gateway")["commands"]["connected"], "the command session")
    for tag, value in (("setpoint", 200), ("mode", 0), ("start", 0), ("fixed", 0)):
        runtime.drive.field.server.set("hall/line-1/drive", tag, value)
    runtime.drive.field.before_write = None
    runtime.drive.field.writes.clear()
    wait_until(lambda: read(runtime, PATH) == 20.0, "the live value")
    wait_until(lambda: read(runtime, "hall/line-1/drive/mode") == 0, "the live mode")
    yield runtime
    runtime.drive.field.before_write = None


def read(runtime: Commanded, path: str) -> object:
    return json.loads(runtime.nexus("read", path, "--format", "json", "--wait", "10s"))["value"]


def test_write_says_what_the_device_holds_and_is_on_record(plant: Commanded) -> None:
    found = json.loads(plant.nexus("write", PATH, "42.5", "--yes", "--format", "json", "--reason", "shift"))
    assert (found["state"], found["old"], found["value"], found["read_back"]) == ("done", 20.0, 42.5, 42.5)
    assert plant.drive.writes == [(0, 425)]
    (row,) = plant.rows(found["id"])
    assert (row["path"], row["principal"], row["state"], row["value"]) == (PATH, "nexus.cli", "done", "42.5")
    detail = json.loads(row["detail"])
    assert (detail["old"], detail["read_back"], detail["gateway"], detail["reason"]) == (20.0, 42.5, "gateway", "shift")
    assert len(plant.audited(found["id"])) == 1
    text = plant.nexus("write", "hall/line-1/drive/mode", "on", "--expect", "off", "--yes")
    assert "done" in text and "0 → 1, read back 1" in text
    wait_until(lambda: read(plant, PATH) == 42.5, "the live view shows it")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((PATH, "95", "--yes"), 1, "NX6806"),
        ((PATH, "20.05", "--yes"), 1, "NX6807"),
        ((PATH, "warm", "--yes"), 1, "NX6805"),
        (("hall/line-1/drive/fixed", "1", "--yes"), 1, "NX6803"),
        (("hall/line-1/drive/setpiont", "1", "--yes"), 1, "did you mean 'setpoint'"),
        (("hall/line-1/dirve/setpoint", "1", "--yes"), 1, "did you mean 'hall/line-1/drive'"),
        ((PATH, "42 degC", "--yes"), 1, "write 42: values of this tag are in degC"),
        ((PATH, "42,5", "--yes"), 1, "write 42.5"),
        (("hall/line-1/drive/mode", "ON", "--yes"), 1, "did you mean 'on'?"),
        (("hall/line-1/drive", "1", "--yes"), 1, "writable there: mode, setpoint, start"),
        (("hall.line-1.drive.setpoint", "1", "--yes"), 1, "did you mean hall/line-1/drive/setpoint?"),
        ((PATH, "30"), 64, "--yes"),
        ((PATH, "30", "--yes", "--timeout", "2m"), 64, "at most 60 s"),
        ((PATH, "30", "--expect", "77", "--yes"), 1, "NX6813"),
    ],
)
def test_what_may_not_be_is_said_plainly(plant: Commanded, arguments: tuple[str, ...], code: int, words: str) -> None:
    done = plant.cli("write", *arguments)
    assert done.returncode == code, done.stderr
    assert words in done.stdout + done.stderr
    assert plant.drive.writes == []


def test_what_is_away_is_said_plainly(plant: Commanded) -> None:
    for part, code, words in (
        ("gateway", 4, ("NX6819", "no gateway answered in time", "`nexus status`")),
        ("broker", 6, ("NX6010", "does not answer", "hint")),
        ("control", 6, ("NX6400", "does not answer", "hint")),
    ):
        plant.kill_part(part)
        try:
            done = plant.cli("write", PATH, "30", "--yes", "--timeout", "1s")
        finally:
            plant.start_part(part)
        assert done.returncode == code, done.stderr
        assert all(one in done.stdout + done.stderr for one in words), done.stdout + done.stderr
        assert "Traceback" not in done.stderr
    for role in ("control", "gateway"):
        plant.wait_ready(role)
    assert plant.drive.writes == [], "what expired meanwhile is not carried out when all is back"


def test_a_gateway_killed_in_the_middle_is_unknown_and_never_tried_again(plant: Commanded) -> None:
    plant.drive.field.before_write = lambda: plant.processes["gateway"].send_signal(signal.SIGKILL)
    assert plant.send(PATH, 30.0, id="killed", wait_s=3.0) == {}
    assert plant.drive.writes == [(0, 300)], "the device got it"
    plant.drive.field.before_write = None
    plant.processes.pop("gateway").wait(10)
    plant.start_part("gateway")
    plant.wait_ready("gateway")
    (row,) = plant.rows("killed")
    assert (row["state"], json.loads(row["detail"])["code"]) == ("unknown", "NX6820")
    wait_until(lambda: plant.status("gateway")["commands"]["connected"], "the command session")
    again = plant.send(PATH, 30.0, id="killed")
    assert (again["state"], again["code"]) == ("unknown", "NX6820")
    assert plant.drive.writes == [(0, 300)]
    assert len(plant.audited("killed")) == 1


def test_a_broker_killed_in_the_middle_loses_the_answer_and_nothing_else(plant: Commanded) -> None:
    plant.drive.field.before_write = plant.broker.kill
    assert plant.send(PATH, 31.0, id="cut", wait_s=3.0) == {}
    plant.drive.field.before_write = None
    plant.broker.start()
    wait_until(lambda: plant.status("gateway")["commands"]["connected"], "the command session")
    again = plant.send(PATH, 31.0, id="cut")
    assert (again["state"], again["read_back"]) == ("done", 31.0)
    assert plant.drive.writes == [(0, 310)]
    (row,) = plant.rows("cut", deadline_s=40)
    assert row["state"] == "done"


def test_a_command_that_waited_out_an_outage_is_not_carried_out(plant: Commanded) -> None:
    plant.end("gateway", signal.SIGTERM)
    assert plant.send(PATH, 32.0, id="early", wait_s=1.0) == {}
    plant.start_part("gateway")
    plant.wait_ready("gateway")
    wait_until(lambda: plant.status("gateway")["commands"]["connected"], "the command session")
    assert plant.send(PATH, 33.0)["state"] == "done"
    assert plant.drive.writes == [(0, 330)], "the command session starts clean"


def test_every_refusal_is_answered_and_on_record(plant: Commanded) -> None:
    for name, path, value, expires_s, code in (
        ("stale", PATH, 40.0, -1.0, "NX6808"),
        ("far", PATH, 40.0, 90.0, "NX6808"),
        ("range", PATH, 95.0, 20.0, "NX6806"),
        ("type", PATH, "warm", 20.0, "NX6805"),
        ("inexact", PATH, 40.05, 20.0, "NX6807"),
        ("unwritable", "hall/line-1/drive/fixed", 1, 20.0, "NX6803"),
        ("label", "hall/line-1/drive/mode", "ON", 20.0, "NX6806"),
    ):
        found = plant.send(path, value, id=name, expires_s=expires_s)
        assert (found["state"], found["code"]) == ("refused", code), found
        again = plant.send(path, value, id=name, expires_s=expires_s)
        assert again["state"] == "refused"
        (row,) = plant.rows(name)
        assert (row["state"], json.loads(row["detail"])["code"], row["principal"]) == ("refused", code, "desk")
        assert len(plant.audited(name)) == 1
    assert plant.drive.writes == []


def test_a_repeated_id_is_one_execution_one_answer_one_row(plant: Commanded) -> None:
    found = plant.send(PATH, 36.0, id="twice")
    assert found["state"] == "done" and plant.send(PATH, 36.0, id="twice") == found
    assert plant.send(PATH, 37.0, id="twice")["code"] == "NX6817", "another wish under a used id"
    assert plant.drive.writes == [(0, 360)]
    (row,) = plant.rows("twice")
    assert (row["state"], row["value"]) == ("done", "36.0") and len(plant.audited("twice")) == 1


def test_retained_and_without_a_synchronised_clock_nothing_is_carried_out(plant: Commanded) -> None:
    plant.end("gateway", signal.SIGTERM)
    body = {"id": "kept", "value": 38.0, "expires_at": int((time.time() + 55) * 1e6)}

    async def keep(client: BrokerClient) -> None:
        async with client.session():
            await client.publish(TOPICS.command(PATH, "desk"), json.dumps(body).encode(), qos=2, retain=True)

    plant.run(keep)
    plant.extra_environment["gateway"] = {"NEXUS_CLOCK_SYNCHRONISED": "0"}
    try:
        plant.start_part("gateway")
        plant.wait_ready("gateway")
        wait_until(lambda: plant.status("gateway")["commands"]["connected"], "the command session")
        found = plant.send(PATH, 39.0, id="clockless")
        assert (found["state"], found["code"]) == ("refused", "NX6810"), found
        for name, code in (("kept", "NX6809"), ("clockless", "NX6810")):
            (row,) = plant.rows(name)
            assert (row["state"], json.loads(row["detail"])["code"]) == ("refused", code)
            assert len(plant.audited(name)) == 1
    finally:
        plant.extra_environment.pop("gateway")
        plant.end("gateway", signal.SIGTERM)

        async def clear(client: BrokerClient) -> None:
            async with client.session():
                await client.publish(TOPICS.command(PATH, "desk"), b"", qos=2, retain=True)

        plant.run(clear)
    assert plant.drive.writes == []


def test_database_away_keeps_the_row_for_later(plant: Commanded) -> None:
    plant.database.kill()
    try:
        assert plant.send(PATH, 34.0, id="later")["state"] == "done"
    finally:
        plant.database.start()
    (row,) = plant.rows("later", deadline_s=60)
    assert row["state"] == "done"
    assert len(plant.audited("later")) == 1


def test_sequence_dry_run_run_and_journal(plant: Commanded) -> None:
    plan = json.loads(plant.nexus("sequence", "run", "warm-up", "--dry-run", "--format", "json"))
    assert plan["ready"] and [one["now"] for one in plan["steps"]][:2] == ["true", "holds 20 degC"]
    assert plant.drive.writes == []
    found = json.loads(plant.nexus("sequence", "run", "warm-up", "--yes", "--format", "json"))
    assert found["state"] == "done"
    assert plant.drive.writes == [(0, 555), (1, 1)]
    status = json.loads(plant.nexus("sequence", "status", found["id"], "--format", "json"))
    steps = [(line["step"], line["state"]) for line in status["journal"]]
    assert steps == [(1, "done"), *((n, state) for n in range(2, 7) for state in ("begun", "done"))]
    (row,) = plant.rows(f"{found['id']}.2")
    assert (row["principal"], row["state"]) == ("nexus.control", "done")
    assert "for nexus.cli" in json.loads(row["detail"])["reason"]
    assert "warm-up" in plant.nexus("sequence", "list")
    audit = plant.query("SELECT who, detail::text FROM nexus.audit WHERE what = 'sequence' AND subject = 'warm-up'")
    assert [one["who"] for one in audit] == ["nexus.cli"]


def test_a_sequence_with_parameters(plant: Commanded) -> None:
    for wrong, words in (
        (("--set", "order=1", "--set", "amount=95"), "'amount' = 95 is out of range"),
        (("--set", "order=1", "--set", "amount=42,5"), "write 42.5"),
        (("--set", "amount=30"), "--set order=…"),
        (("--set", "order=1", "--set", "amonut=30"), "did you mean 'amount'"),
    ):
        done = plant.cli("sequence", "run", "fill", "--yes", *wrong)
        assert done.returncode == 1 and "NX6837" in done.stderr and words in done.stderr, done.stderr
    assert plant.drive.writes == []
    given = ("--set", "order=17", "--set", "amount=35.5")
    plan = json.loads(plant.nexus("sequence", "run", "fill", *given, "--dry-run", "--format", "json"))
    assert plan["ready"] and plan["set"] == {"amount": 35.5, "order": "17"}
    assert plan["steps"][1]["text"] == "write hall/line-1/drive/setpoint = 35.5"
    found = json.loads(plant.nexus("sequence", "run", "fill", *given, "--yes", "--format", "json"))
    assert (found["state"], found["set"]) == ("done", {"amount": 35.5, "order": "17"})
    assert plant.drive.writes == [(0, 355)]
    (run,) = plant.query("SELECT definition::text FROM nexus.sequence_run WHERE id = $1", found["id"])
    definition = json.loads(run["definition"])
    assert definition["arguments"] == {"amount": 35.5, "order": "17"}
    assert definition["steps"][0]["value"] == 35.5 and definition["steps"][2]["fields"]["order"] == "no 17"
    (audit,) = plant.query("SELECT detail::text FROM nexus.audit WHERE what = 'sequence' AND subject = 'fill'")
    assert json.loads(audit["detail"])["set"] == {"amount": 35.5, "order": "17"}
    assert "--set amount=…  float64, 10 to 90, default 40" in plant.nexus("sequence", "list")


def test_a_sequence_whose_precondition_fails_writes_nothing(plant: Commanded) -> None:
    done = plant.cli("sequence", "run", "never", "--yes")
    assert done.returncode == 1 and "NX6832" in done.stdout, done.stdout + done.stderr
    assert plant.drive.writes == []


def test_a_sequence_that_times_out_goes_back(plant: Commanded) -> None:
    done = plant.cli("sequence", "run", "stuck", "--yes")
    assert done.returncode == 4 and "NX6833" in done.stdout and "abort branch: done" in done.stdout, done.stdout
    assert plant.drive.writes == [(0, 330), (0, 110)]


def test_a_killed_command_line_does_not_end_a_sequence_and_two_do_not_meet(plant: Commanded) -> None:
    process = first_step_of(plant, "held")
    process.kill()
    process.wait(10)
    busy = plant.cli("sequence", "run", "stuck", "--yes")
    assert busy.returncode == 5 and "NX6831" in busy.stderr, busy.stderr
    plant.drive.hold("fixed", 78)
    wait_until(lambda: (2, 2) in plant.drive.writes, "the last step")
    assert plant.drive.writes == [(2, 1), (2, 2)]
    wait_until(lambda: newest(plant)["state"] == "done", "the end")


def first_step_of(plant: Commanded, sequence: str) -> subprocess.Popen[bytes]:
    """A process that runs a sequence, once its first step was written."""
    command = [sys.executable, "-m", "nexus_cli", "sequence", "run", sequence, "--yes"]
    process = subprocess.Popen(
        command, cwd=plant.folder, env=plant.environment("cli"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    wait_until(lambda: (2, 1) in plant.drive.writes, "the first step")
    return process


def newest(plant: Commanded) -> dict[str, object]:
    found: dict[str, object] = json.loads(plant.nexus("sequence", "list", "--format", "json"))["runs"][0]
    return found


def test_an_aborted_sequence_carries_out_its_abort_branch(plant: Commanded) -> None:
    process = first_step_of(plant, "patient")
    plant.nexus("sequence", "abort", str(newest(plant)["id"]))
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 4, output
    assert b"aborted" in output
    assert plant.drive.writes == [(2, 1), (2, 9)]


def test_control_killed_in_the_middle_interrupts_and_writes_nothing_more(plant: Commanded) -> None:
    process = first_step_of(plant, "held")
    plant.kill_part("control")
    plant.start_part("control")
    plant.wait_ready("control")
    output, _ = process.communicate(timeout=40)
    assert process.returncode == 4, output
    assert b"NX6835" in output
    plant.drive.hold("fixed", 78)  # what the run waited for: what must not come has its chance
    wait_until(lambda: json.loads(plant.nexus("read", "hall/line-1/drive/fixed", "--format", "json"))["value"] == 78)
    assert plant.drive.writes == [(2, 1)]


def test_publish_previews_and_sends_what_fits_its_schema(plant: Commanded) -> None:
    values = ["--set", "line=one", "--set", "order=17", "--set", "amount=3"]
    preview = plant.nexus("publish", "start-order", *values, "--preview")
    assert preview.startswith("erp/orders/one") and '"source": "nexus"' in preview
    heard: list[tuple[str, object]] = []

    async def listen(client: object) -> None:
        from nexus_cli.wire.client import BrokerClient

        assert isinstance(client, BrokerClient)
        async with client.session() as messages:
            await client.subscribe([("erp/#", 1)])
            heard.append(("ready", None))
            async for message in messages:
                heard.append((message.topic, json.loads(message.payload)))
                return

    import threading

    thread = threading.Thread(target=lambda: plant.run(listen, wait_s=20))
    thread.start()
    wait_until(lambda: heard, "the subscription")
    assert "published" in plant.nexus("publish", "start-order", *values, "--yes")
    thread.join(20)
    assert heard[-1] == ("erp/orders/one", {"source": "nexus", "order": "17", "amount": 3})
    for wrong in (["--set", "line=one", "--set", "order=17"], [*values[:4], "--set", "amount=many"], values[2:]):
        done = plant.cli("publish", "start-order", *wrong, "--yes")
        assert done.returncode == 1 and re.search(r"NX6841", done.stderr), done.stderr
