"""A row that can't be read, or only in part, costs itself alone: everything beside it is read."""

from __future__ import annotations

import pytest

from nexus_cli.database import alert_states, deployments, leader, sequences
from nexus_cli.database.audit import trail
from nexus_cli.database.connect import connection
from nexus_cli.database.queries import load_external
from nexus_cli.database.retired import retired
from nexus_cli.settings import Settings
from tests.postgres import SITE

pytestmark = [pytest.mark.needs_database]
GOOD = '{"path": "a/l/good", "protocol": "external", "connection": {"globs": ["a/l/good/**"]}, "tags": {}}'
DAMAGED = (
    '{"path": 5, "protocol": "external", "tags": {"a": 7}}',
    '{"path": "a/l/x", "protocol": "external", "connection": {"globs": 5}}',
    '{"path": "a/l/x", "protocol": "external", "connection": {"globs": [1], "max_series": "x"}}',
)


@pytest.mark.parametrize("damaged", DAMAGED)
async def test_an_external_device_that_can_not_be_read_is_left_out(database: Settings, damaged: str) -> None:
    async with connection(database) as conn:
        first, _ = await deployments.begin_deployment(
            conn, SITE, who="me", reason="", base="", desired="", plan={"changed": {}}
        )
        for address, attributes in (("device.a/l/bad", damaged), ("device.a/l/good", GOOD)):
            await conn.execute(
                "INSERT INTO nexus.resource (site, address, digest, attributes, deployment_id) "
                "VALUES ($1, $2, '', $3::text::jsonb, $4)",
                *(SITE, address, attributes, first),
            )
        assert [one.path for one in await load_external(conn, site=SITE)] == ["a/l/good"]
        assert (await retired(conn, SITE)).globs == ("a/l/good/**",)


@pytest.mark.parametrize("facts", ['{"pid": "x", "host": 7, "url": null}', "[]", "5"])
async def test_a_leader_whose_facts_can_not_be_read_is_one_of_an_unknown_place(database: Settings, facts: str) -> None:
    async with connection(database) as conn:
        await conn.execute(
            "INSERT INTO nexus.leader (site, term, holder, facts) VALUES ($1, 3, 'A', $2::text::jsonb)", SITE, facts
        )
        found = await leader.observe(conn, SITE)
    assert found is not None
    assert (found.term, found.holder, found.place) == (3, "A", "unknown host (process unknown)")


@pytest.mark.parametrize(
    "summary", ["[]", '{"counts": {"applied": "x", "failed": 2}}', '{"table": [5], "left_out": "x"}']
)
async def test_a_deployment_is_listed_with_what_is_readable_of_its_summary(database: Settings, summary: str) -> None:
    async with connection(database) as conn:
        for _ in range(2):
            number, _ = await deployments.begin_deployment(
                conn, SITE, who="me", reason="", base="", desired="", plan={"changed": {}}
            )
            await conn.execute(
                "UPDATE nexus.deployment SET outcome = 'applied', summary = $2::text::jsonb WHERE id = $1",
                *(number, summary),
            )
        found = await deployments.deployments(conn, SITE)
    assert [one.number for one in found] == [2, 1]
    assert {str(one.summary.counts) for one in found} == {"{'failed': 2}" if "failed" in summary else "{}"}


async def test_runs_and_steps_are_listed_with_what_is_readable_of_their_details(database: Settings) -> None:
    async with connection(database) as conn:
        for name, detail in (("bad", '{"code": 5, "step": "a", "detail": "torn"}'), ("good", '{"code": "NX6830"}')):
            await conn.execute(
                "INSERT INTO nexus.sequence_run (site, id, name, who, state, definition, detail) "
                "VALUES ($1, $2, 'fill', 'me', 'failed', '{}', $3::text::jsonb)",
                *(SITE, name, detail),
            )
            await conn.execute(
                "INSERT INTO nexus.sequence_step (site, run, step, text, state, detail) "
                "VALUES ($1, 'bad', 1, 'x', 'failed', $2::text::jsonb)",
                *(SITE, '{"detail": 5, "code": "NX6815", "command": [1]}'),
            )
        found = {run.id: run.detail for run in await sequences.runs(conn, SITE)}
        (line, _) = await sequences.journal(conn, SITE, "bad")
    assert (found["bad"].detail, found["good"].code) == ("torn", "NX6830")
    assert line.detail.code == "NX6815"


async def test_the_audit_trail_shows_a_row_with_what_is_readable_of_it(database: Settings) -> None:
    async with connection(database) as conn:
        for detail in ('{"state": 3, "code": 5, "reason": "shift"}', '{"state": "done"}'):
            await conn.execute(
                "INSERT INTO nexus.audit (site, who, what, subject, detail) "
                "VALUES ($1, 'me', 'command', 'a/l/d/t', $2::text::jsonb)",
                *(SITE, detail),
            )
        found = await trail(conn, SITE, since_us=0)
    assert [(one.reason, one.state) for one in found.entries] == [
        ("shift", found.entries[0].state),
        (found.entries[1].reason, "done"),
    ]
    assert found.entries[0].state != 3


async def test_the_pending_state_of_an_alert_comes_back_as_it_is_stored(database: Settings) -> None:
    async with connection(database) as conn:
        await conn.execute(
            "INSERT INTO nexus.alert (site, name, state, since, severity, pending) "
            "VALUES ($1, 'hot', 'cleared', now(), 'warning', '{\"x\": 5}')",
            SITE,
        )
        assert (await alert_states.load(conn, SITE))["hot"].pending == {"x": 5}, "the reader decides: see test_alerting"
