"""Parameters, fields and payloads come back from the database in the order in which a person declared them."""

from __future__ import annotations

import orjson
import pytest

from nexus_cli.database import deployments, sequences
from nexus_cli.database.audit import trail
from nexus_cli.database.connect import connection
from nexus_cli.database.ordered import from_jsonb
from nexus_cli.settings import Settings
from nexus_cli.wire.control_sequences import RunEnd
from tests.postgres import SITE

pytestmark = [pytest.mark.needs_database]
NAMES = ["note", "amount", "n", "mode", "flag"]


async def test_declared_order_survives_the_record_the_plan_a_run_and_the_trail(database: Settings) -> None:
    step = {"do": "publish", "subject": "order", "fields": dict.fromkeys(NAMES, 1)}
    sequence = {"steps": [step], "parameters": {name: {"type": "int32"} for name in NAMES}}
    message = {"topic": "erp/order", "payload": {"z": {"bb": 1, "a": 2}, "y": 3}}
    changed = {"sequence.fill": sequence, "message.order": message}
    async with connection(database) as conn:
        _, number = await deployments.begin_deployment(
            conn, SITE, who="me", reason="", base="", desired="", plan={"changed": changed, "before": changed}
        )
        (running,) = await deployments.running_deployments(conn, SITE)
        assert running.number == number
        plan = from_jsonb(await deployments.stored_plan(conn, running.id))
        sorted_ = from_jsonb(await conn.fetchval("SELECT plan::jsonb::text FROM nexus.deployment"))
        for part in ("changed", "before"):
            assert list(plan[part]["sequence.fill"]["parameters"]) == NAMES
            assert list(sorted_[part]["sequence.fill"]["parameters"]) == NAMES, "as an earlier version keeps it"
        await deployments.write_resources(conn, SITE, running.id, plan["changed"], digests=dict.fromkeys(changed, ""))
        for recorded in (
            await deployments.full_state(conn, SITE),
            await deployments.attributes(conn, SITE, [*changed]),
        ):
            assert recorded == changed
            assert list(recorded["sequence.fill"]["parameters"]) == NAMES
            assert list(recorded["sequence.fill"]["steps"][0]["fields"]) == NAMES
            assert orjson.dumps(recorded["message.order"]["payload"]) == orjson.dumps(message["payload"])
        definition = {**sequence, "arguments": dict.fromkeys(NAMES, 1)}
        await sequences.begin_run(conn, SITE, run="r", name="fill", who="me", reason="", definition=definition)
        (known,) = await sequences.running(conn, SITE)
        assert known.definition == definition
        await sequences.end_run(conn, SITE, "r", state="done", detail=RunEnd(step=1))
        run = await sequences.find_run(conn, SITE, "r")
        assert run is not None
        assert list(run.set) == NAMES
        (entry,) = (await trail(conn, SITE)).entries
        assert list(entry.set) == NAMES
