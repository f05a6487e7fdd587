"""Notifications on a real PostgreSQL, with a webhook receiver and a mail server: a worker sends what alarms leave behind."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import orjson
import pytest
from aiosmtpd.controller import Controller

from nexus_cli.database import jobs, notices
from nexus_cli.database.connect import close, open_connection
from nexus_cli.runtime.worker.worker import run_worker
from nexus_cli.settings import Settings
from nexus_cli.wire.alert import Alert
from nexus_cli.wire.webhook import signature
from tests.postgres import SITE
from tests.servers import free_port
from tests.waiting import until, until_found

pytestmark = [pytest.mark.needs_database]


class Alarm(Alert, frozen=True, kw_only=True):
    """An alert with what makes it an alarm."""

    priority: str = "high"  # type: ignore[assignment]
    group: str = "ovens"
    occurrence: int = 0


class Board:
    """A webhook receiver."""

    def __init__(self) -> None:
        self.heard: list[tuple[dict[str, str], bytes]] = []
        self.status = 200

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[1:]
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head if line)}
        body = await reader.readexactly(int(headers["content-length"]))
        self.heard.append((headers, body))
        writer.write(f"HTTP/1.1 {self.status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    @property
    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.heard]


@asynccontextmanager
async def board() -> AsyncIterator[tuple[Board, str]]:
    receiver = Board()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    async with server:
        yield receiver, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/alarms"


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Any]:
    conn = await open_connection(settings)
    try:
        yield conn
    finally:
        await close(conn)


@asynccontextmanager
async def worker(settings: Settings) -> AsyncIterator[None]:
    stop = asyncio.Event()
    away = replace(settings, broker_url=f"mqtt://127.0.0.1:{free_port()}")
    task = asyncio.create_task(run_worker(away, stop=stop))
    try:
        yield
    finally:
        stop.set()
        await task


async def declare(conn: Any, **resources: dict[str, Any]) -> None:
    number = await conn.fetchval(
        """INSERT INTO nexus.deployment (site, number, who, outcome, base_digest, desired_digest, plan)
           VALUES ($1, 1, 'anna', 'applied', '', '', '{}') RETURNING id""",
        SITE,
    )
    for address, attributes in resources.items():
        await conn.execute(
            "INSERT INTO nexus.resource (site, address, digest, attributes, deployment_id) VALUES ($1,$2,'',$3,$4)",
            *(SITE, address.replace("__", "."), orjson.dumps(attributes).decode(), number),
        )


def alarm(name: str = "hot", *, state: str = "active", at: int, occurrence: int = 0) -> Alarm:
    return Alarm(
        name=name,
        state=state,
        since=at,
        value=99.5,
        severity="critical",
        tag="a/l/d/t",
        description="Too hot.",
        acknowledged_by="",
        occurrence=occurrence or at,
    )


def now_us() -> int:
    return time.time_ns() // 1000


async def test_a_signed_webhook_and_a_mail_for_one_alarm(database: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    mails: list[Any] = []

    class Takes:
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
            mails.append(envelope)
            return "250 OK"

    monkeypatch.setenv("BOARD_KEY", "k1")
    post = Controller(Takes(), hostname="127.0.0.1", port=free_port())
    post.start()
    try:
        async with board() as (receiver, url), connected(database) as conn:
            await declare(
                conn,
                channel__board={"kind": "webhook", "url": url, "key": "${env:BOARD_KEY}"},
                channel__shift={
                    "kind": "mail",
                    "to": ["s@acme.example"],
                    "sender": "nexus@acme.example",
                    "server": f"127.0.0.1:{post.port}",
                    "security": "none",
                },
                route__all={"to": ["board", "shift"], "returned": True},
                route__low={"to": ["board"], "priorities": ["low"]},
            )
            at = now_us()
            async with worker(database):
                async with conn.transaction():
                    await notices.note(conn, SITE, alarm(at=at))
                    await notices.note(conn, SITE, alarm(at=at))
                await until(lambda: receiver.heard and mails)
                await notices.note(conn, SITE, alarm(state="cleared", at=at + 1, occurrence=at))
                await until(lambda: len(receiver.heard) == 2 and len(mails) == 2)
                await until_found(lambda: jobs.listing(conn, SITE), lambda found: not found)
    finally:
        post.stop()
    headers, body = receiver.heard[0]
    assert headers["x-nexus-signature"] == signature("k1", headers["x-nexus-timestamp"], body)
    assert headers["x-nexus-id"] == f"hot.{at}.active.board"
    assert [(each["name"], each["step"], each["repeated"]) for each in receiver.documents] == [
        ("hot", "active", False),
        ("hot", "returned", False),
    ]
    assert b"HIGH hot: active" in mails[0].content
    assert b"Too hot." in mails[0].content


async def test_what_was_being_sent_is_sent_once_more_and_marked(database: Settings) -> None:
    """The worker was killed behind the row, and perhaps behind the message; what surely failed is no repetition."""
    async with board() as (receiver, url), connected(database) as conn:
        await declare(conn, channel__board={"kind": "webhook", "url": url}, route__all={"to": ["board"]})
        at = now_us()
        for name, state in (("killed", "sending"), ("refused", "failed"), ("sent", "sent")):
            await conn.execute(
                "INSERT INTO nexus.notification (site, alert, occurrence, step, channel, state) "
                "VALUES ($1, $2, $3, 'active', 'board', $4)",
                *(SITE, name, at, state),
            )
            await notices.note(conn, SITE, alarm(name, at=at))
        async with worker(database):
            await until_found(lambda: jobs.listing(conn, SITE), lambda found: not found)
    told = {each["name"]: each["repeated"] for each in receiver.documents}
    assert told == {"killed": True, "refused": False}
    assert "REPEATED" in next(each["text"] for each in receiver.documents if each["name"] == "killed")


async def test_it_escalates_until_somebody_acknowledges(database: Settings) -> None:
    async with board() as (receiver, url), connected(database) as conn:
        await declare(
            conn,
            channel__board={"kind": "webhook", "url": url},
            route__all={"to": ["board"], "escalate": [{"after_ms": 100, "to": ["board"]}]},
        )
        at = now_us()
        for name, state in (("hot", "active"), ("cold", "acknowledged")):
            await conn.execute(
                "INSERT INTO nexus.alert (site, name, state, since, severity, stored) "
                "VALUES ($1, $2, $3, now(), 'critical', now())",
                *(SITE, name, state),
            )
            await notices.note(conn, SITE, alarm(name, at=at))
        async with worker(database):
            await until_found(lambda: jobs.listing(conn, SITE), lambda found: not found)
    told = sorted((each["name"], each["step"]) for each in receiver.documents)
    assert told == [("cold", "active"), ("hot", "active"), ("hot", "escalate-100")]


async def test_a_flood_of_alarms_becomes_a_digest_that_loses_none(database: Settings) -> None:
    many = 500
    async with board() as (receiver, url), connected(database) as conn:
        await declare(
            conn,
            channel__board={"kind": "webhook", "url": url},
            route__all={"to": ["board"]},
            digest__alarms={"every_ms": 1000},
        )
        at = now_us()
        for number in range(many):
            await notices.note(conn, SITE, alarm(f"a{number}", at=at + number))
        async with worker(database):
            await until_found(lambda: jobs.listing(conn, SITE), lambda found: not found)
    single = {each["name"] for each in receiver.documents if each["kind"] == "alarm"}
    digests = [each for each in receiver.documents if each["kind"] == "digest"]
    named = [each["name"] for one in digests for each in one["alarms"]]
    assert single == {f"a{number}" for number in range(10)}
    assert sorted([*single, *named]) == sorted(f"a{number}" for number in range(many))
    assert digests[0]["first"] == "a10"


async def test_an_alert_without_priority_and_one_that_is_shelved_notify_nobody(database: Settings) -> None:
    async with connected(database) as conn:
        await notices.note(conn, SITE, Alarm(**{**json.loads(orjson.dumps(_plain(alarm(at=1)))), "priority": ""}))
        held = {**_plain(alarm(at=1)), "shelved_until": 2}
        await notices.note(conn, SITE, Alarm(**held))
        assert await jobs.listing(conn, SITE) == []
        await notices.note(
            conn, SITE, alarm(state="cleared", at=3, occurrence=1)
        )  # its shelf ended behind its condition
        assert await jobs.listing(conn, SITE) == []


async def test_what_a_mail_server_says_may_hold_anything(database: Settings) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        await reader.readline()
        writer.write(b"250 yes\r\n")
        await reader.readline()
        writer.write(b"550 no\0pe\xff\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    mail = {
        "kind": "mail",
        "to": ["a@acme.example"],
        "server": f"127.0.0.1:{port}",
        "security": "none",
        "sender": "n@acme.example",
    }
    async with server, connected(database) as conn, worker(database):
        await declare(conn, channel__post=mail, route__all={"to": ["post"]})
        await notices.note(conn, SITE, alarm(at=now_us()))

        async def failed() -> list[Any]:
            return [each for each in await jobs.listing(conn, SITE, kind="deliver") if each.reason]

        [job] = await until_found(failed)
        assert "550 no\ufffdpe\ufffd" in job.reason
        state = await conn.fetchrow("SELECT state, detail FROM nexus.notification WHERE channel = 'post'")
        assert state["state"] in ("failed", "sending") and "550 no\ufffdpe" in state["detail"]


def _plain(one: Alarm) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__struct_fields__}
