"""Control, web and a worker whose steps can be held: an alarm waits wherever a test wants it to, while something is killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Coroutine, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import orjson

from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from tests.e2e.runtime import NEXUS, Runtime
from tests.servers import free_port
from tests.waiting import PATIENCE_S, wait_until

HELD_S = 600.0
SECOND = "worker-2"
"""A worker that a test starts itself."""
DEVICE = "hall/line-1/probe"
SITE = """\
nexus: 1
enterprise: acme
site: chicago
areas:
  hall:
    lines:
      line-1:
        devices:
          probe:
            protocol: external
            tags: {{{tags}}}
alerts: {{{alerts}}}
notifications:
  digest: {{above: 10000, below: 5, every: 5m}}
  channels: {{board: {{webhook: {{url: "{url}/board"}}}}, boss: {{webhook: {{url: "{url}/boss"}}}}{more}}}
  routes:
    plain: {{groups: [plain], to: [board]}}
    fast: {{groups: [fast], to: [board], escalate: [{{after: 1s, to: [boss]}}]}}
    slow: {{groups: [slow], to: [board], escalate: [{{after: 8s, to: [boss]}}]}}
"""


class Receiver:
    """A webhook receiver that holds its answer while it is told to.

    Attributes:
        heard: The documents, in order of arrival.
        url: Where it listens.
    """

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self._held: dict[tuple[str, str], threading.Event] = {}
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                document = json.loads(self.rfile.read(int(self.headers["content-length"])))
                receiver.heard.append({**document, "channel": self.path.strip("/")})
                gate = receiver._held.get((document.get("name", ""), document.get("step", "")))
                if gate is not None:
                    gate.wait(HELD_S)
                with contextlib.suppress(OSError):  # the worker was killed meanwhile
                    self.send_response(200)
                    self.send_header("content-length", "0")
                    self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def hold(self, name: str, step: str) -> None:
        """Do not answer messages of this step before `release`."""
        self._held[name, step] = threading.Event()

    def release(self, name: str = "", step: str = "") -> None:
        """Answer; without a name all of them, also those to come."""
        for key in [key for key in self._held if not name or key == (name, step)]:
            self._held.pop(key).set()

    def has(self, name: str, step: str) -> bool:
        """True when a message of this step came."""
        return any((one.get("name"), one.get("step")) == (name, step) for one in self.heard)

    def counts(self) -> Counter[tuple[str, str, str]]:
        """How often which alarm came, at which step, over which channel."""
        return Counter((one["name"], one["step"], one["channel"]) for one in self.heard)

    def close(self) -> None:
        """End it."""
        self.release()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Hand:
    """Holds rows and tables of the database, each in a transaction of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._held: list[asyncpg.Connection[Any]] = []

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run something to its end."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)

    def hold(self, plant: Runtime, sql: str, *arguments: object) -> None:
        """Run a statement in a transaction that stays open."""

        async def begin() -> None:
            conn = await asyncpg.connect(plant.database.url, password=plant.database.password)
            self._held.append(conn)
            await conn.execute("BEGIN")
            await conn.fetch(sql, *arguments)

        self.do(begin())

    def release(self) -> None:
        """Roll everything back; a killed database has done it already."""

        async def end() -> None:
            for conn in self._held:
                conn.terminate()
            self._held.clear()

        self.do(end())

    def close(self) -> None:
        """End it."""
        self.release()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class AlarmPlant(Runtime):
    """See above.

    Attributes:
        receiver: Of both channels.
        hand: For the database.
        alarms: Group by name; each has a tag of its own name.
        quiet: Tags without an alarm.
    """

    forked = True
    more_principals = ("nexus.web", "nexus.worker")

    def __init__(
        self, folder: Path, *, alarms: dict[str, str], quiet: tuple[str, ...] = (), more_roles: tuple[str, ...] = ()
    ) -> None:
        super().__init__(folder, site="acme/chicago", gateways=())
        self.roles = ("control", "web", "worker", *more_roles)
        self.ports = {role: free_port() for role in (*self.roles, SECOND)}
        self.receiver, self.hand, self.alarms, self.quiet = Receiver(), Hand(), alarms, quiet

    def start(self) -> None:
        """Start every part, and apply the site."""
        self.write_site()
        super().start()
        self.apply()
        self.wait_ready("worker")

    def write_site(self, *, more: str = "") -> None:
        """The site, with more channels."""
        tags = ", ".join(f"{name}: {{type: float64}}" for name in (*self.alarms, *self.quiet))
        alerts = ", ".join(
            f"{name}: {{tag: {DEVICE}/{name}, above: 50, priority: high, group: {group}}}"
            for name, group in self.alarms.items()
        )
        text = SITE.format(tags=tags, alerts=alerts, url=self.receiver.url, more=more)
        (self.folder / "site.yaml").write_text(text)

    def stop(self) -> None:
        """Stop it all."""
        self.receiver.release()
        self.hand.close()
        super().stop()
        self.receiver.close()

    def start_part(self, part: str) -> None:
        """As everywhere."""
        if part in ("web", "worker", SECOND):
            self.spawn(part, [*NEXUS, "run", part.partition("-")[0], "--name", part])
        else:
            super().start_part(part)

    def freeze(self, part: str, *, on: bool = True) -> None:
        """SIGSTOP, or SIGCONT."""
        process = self.processes.get(part)
        if process is not None:
            os.kill(process.pid, signal.SIGSTOP if on else signal.SIGCONT)

    def publish(self, names: Iterable[str], value: float = 99.0) -> None:
        """Publish a value of each alarm's tag, retained as a gateway's is."""
        self.say((name, {"value": value, "quality": "GOOD"}) for name in names)

    def say(self, messages: Iterable[tuple[str, dict[str, Any]]]) -> None:
        """Publish documents on tags, one after the other."""
        settings = Settings(site=self.site, broker_url=self.broker.url)

        async def send() -> None:
            client = BrokerClient(settings=settings, client_id="probe")
            async with client.session():
                for name, document in messages:
                    await client.publish(f"{self.site}/{DEVICE}/{name}", orjson.dumps(document), retain=True)

        self.hand.do(send())

    def states(self) -> dict[str, str]:
        """What control says of the alarms."""
        token = json.loads((self.home / "credentials.json").read_text())["api"]["nexus.cli"]
        base = f"http://127.0.0.1:{self.ports['control']}/v1/sites/{self.site}"
        answer = httpx.get(f"{base}/alerts", headers={"authorization": f"Bearer {token}"}, timeout=10)
        return {one["name"]: one["state"] for one in answer.json()["alerts"]}

    def jobs(self, key: str = "") -> list[Any]:
        """Jobs that wait, run or failed, of keys that begin so."""
        return self.query(
            "SELECT id, status, dedupe_key, payload FROM nexus.job WHERE starts_with(dedupe_key, $1) ORDER BY id",
            f"{self.site} {key}",
        )

    def until_job(self, key: str) -> Any:
        """Wait for a job; its row."""
        wait_until(lambda: self.jobs(key), f"a job {key}")
        return self.jobs(key)[0]

    def notifications(self, name: str) -> dict[tuple[str, str], str]:
        """What became of the messages of an alarm, by step and channel."""
        rows = self.query("SELECT step, channel, state FROM nexus.notification WHERE alert = $1", name)
        return {(row["step"], row["channel"]): row["state"] for row in rows}


__all__ = ["SECOND", "AlarmPlant", "Hand", "Receiver"]
