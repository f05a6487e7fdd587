"""A whole runtime with a broker that enforces rights, beside simulators of four protocols that count who connects."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import orjson

from tests.asking import Asker
from tests.e2e.field import Field
from tests.e2e.pair_sites import PROTOCOLS, Drawn, universe, written
from tests.e2e.sites import devices_of
from tests.integration.test_local_runtime import Plant
from tests.people import passwords_of
from tests.servers import free_port
from tests.waiting import wait_until

SITE = "acme/pairs"


class CountedSet(set[Any]):
    """Connections of a server, and how many there were."""

    added = 0

    def add(self, one: Any, /) -> None:
        self.added += 1
        super().add(one)


class CountedList(list[Any]):
    """The same, as asyncua keeps them."""

    added = 0

    def append(self, one: Any, /) -> None:
        self.added += 1
        super().append(one)


class CountingField(Field):
    """Simulators of every link, and how many connections each accepted since its start."""

    def start(self) -> CountingField:
        """Serve, and count from the first connection on."""
        super().start()
        self.counted: dict[str, CountedSet | CountedList] = {}
        for path, device in self.devices.items():
            if device.link not in self.counted:
                self.call(self._count, device.link, self.servers[path])
        return self

    def accepted(self) -> dict[str, int]:
        """Connections by link."""
        return self.call(lambda: {link: one.added for link, one in self.counted.items()})

    def clients(self) -> set[str]:
        """Links that a client is connected to."""
        servers = {device.link: self.servers[path] for path, device in self.devices.items()}
        return self.call(lambda: {link for link, server in servers.items() if server.clients})

    def _count(self, link: str, server: Any) -> None:
        opcua = getattr(server, "server", None)
        if opcua is not None:
            self.counted[link] = opcua.bserver.clients = CountedList()
        else:
            self.counted[link] = server.connections = CountedSet()


@dataclass(frozen=True, kw_only=True)
class Session:
    """A session of the gateway: when it came up, and how many there were before on this link."""

    since: int
    opened: float


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The plant at one moment.

    Attributes:
        sessions: By link, those that are connected.
        accepted: Connections that the simulators accepted, by link.
        retained: Value of each retained message below the site, by path; None for BAD.
        series: Id and whether it is declared, by path.
        rights: What each user can read and write, tried at the broker: user, right, path.
    """

    sessions: Mapping[str, Session]
    accepted: Mapping[str, int]
    retained: Mapping[str, float | None]
    series: Mapping[str, tuple[str, bool]]
    rights: frozenset[tuple[str, str, str]] = field(default=frozenset())


class PairsPlant:
    """The runtime and its simulators."""

    def __init__(self, folder: Path) -> None:
        self.plant = Plant(folder, site=False)
        self.ports = {(protocol, server): free_port() for protocol in PROTOCOLS for server in range(2)}
        (folder / "universe.yaml").write_text(json.dumps(universe(self.ports)))
        self.field = CountingField(devices_of(folder / "universe.yaml"))

    def start(self, site: Drawn) -> None:
        """Start everything and apply a first site."""
        self.field.start()
        self.write(written(site, self.ports))
        self.plant.nexus("up")
        self.nexus("apply", "site.yaml", "--yes")
        home = self.plant.home
        self.runtime: dict[str, Any] = orjson.loads(home.runtime_file.read_bytes())
        self.secrets = orjson.loads((home.path / "credentials.json").read_bytes())
        self.passwords: dict[str, str] = {}
        self.welcome(site)

    def welcome(self, site: Drawn) -> None:
        """Passwords for the users of a site: one who was removed has none any more, and gets a new one."""
        self.passwords = {user: password for user, password in self.passwords.items() if user in site.users}
        if missing := [user for user in site.users if user not in self.passwords]:
            self.passwords |= passwords_of(self.plant, *missing)

    def stop(self) -> None:
        """End everything."""
        self.plant.nexus("down", code=None)
        self.field.stop()

    def write(self, site: Mapping[str, Any]) -> None:
        """The site file."""
        self.plant.write(json.dumps(site, indent=1))

    def nexus(self, *arguments: str) -> str:
        """Run a command that ends well."""
        return self.plant.nexus(*arguments).stdout

    def plan(self) -> dict[str, Any]:
        """The plan of what is written, as JSON."""
        found: dict[str, Any] = json.loads(self.nexus("plan", "site.yaml", "--format", "json"))
        return found

    # --- looking ------------------------------------------------------------------------------------------

    def gateway(self, page: str) -> httpx.Response:
        """A page of the gateway."""
        port = self.runtime["http_ports"]["nexus.gateway.gateway"]
        return httpx.get(f"http://127.0.0.1:{port}/{page}", timeout=10)

    def sessions(self) -> dict[str, Session]:
        """Of the gateway, as its health and its counters say."""
        counted = {}
        for line in self.gateway("metrics").text.splitlines():
            if line.startswith("nexus_link_reconnects_total{"):
                name, _, number = line.rpartition(" ")
                counted[name.split('link="')[1].split('"')[0]] = float(number)
        return {
            link: Session(since=each["since"], opened=counted[link])
            for link, each in self.gateway("status").json()["links"].items()
            if each["state"] == "connected"
        }

    def retained(self) -> dict[str, float | None]:
        """Retained messages of tags by path."""
        with self.asker("nexus.web", "looks") as asker:
            assert asker.subscribe(f"{SITE}/#", qos=0)
            asker.fence()
            return {
                topic.removeprefix(f"{SITE}/"): json.loads(payload)["value"]
                for topic, payload in asker.heard
                if payload
            }

    @contextmanager
    def listening(self) -> Iterator[list[tuple[str, bytes]]]:
        """What is published below the site meanwhile, retained messages from before left out; complete after the block."""
        with self.asker("nexus.web", "listens") as asker:
            assert asker.subscribe(f"{SITE}/#", qos=0)
            asker.fence()
            asker.heard.clear()
            found: list[tuple[str, bytes]] = []
            yield found
            asker.fence()
            found += [(topic.removeprefix(f"{SITE}/"), payload) for topic, payload in asker.heard]

    def asker(self, user: str, use: str) -> Asker:
        """A client of the broker."""
        port = urlsplit(self.runtime["broker_url"]).port or 1883
        password = self.passwords.get(user) or self.secrets["broker"][user]
        return Asker(port, user, password, f"{user}-{use}-{os.urandom(4).hex()}")

    def rights(self, paths: set[str]) -> frozenset[tuple[str, str, str]]:
        """What each user who has a password can do with these tags, tried: a retained value arrives, a command is taken."""
        found = set()
        for user in self.passwords:
            with self.asker(user, "tries") as asker:
                for path in paths:
                    asker.subscribe(f"{SITE}/{path}", qos=0)
                    if asker.publish(f"_nexus/{SITE}/cmd/{path}/{user}", b"{}", qos=2):
                        found.add((user, "write", path))
                asker.fence()
                found |= {(user, "read", topic.removeprefix(f"{SITE}/")) for topic, _ in asker.heard}
        return frozenset(found)

    def query(self, sql: str, *arguments: object) -> list[Any]:
        """Rows of a query."""

        async def ask() -> list[Any]:
            connection = await asyncpg.connect(self.runtime["database_url"], password=self.secrets["database"]["nexus"])
            try:
                return list(await connection.fetch(sql, *arguments))
            finally:
                await connection.close()

        return asyncio.run(ask())

    def series(self) -> dict[str, tuple[str, bool]]:
        """Id and whether it is declared, by path."""
        rows = self.query("select path, id::text as id, active from nexus.series")
        return {row["path"]: (row["id"], row["active"]) for row in rows}

    def seen(self) -> Seen:
        """Everything that is counted."""
        retained = self.retained()
        return Seen(
            sessions=self.sessions(),
            accepted=self.field.accepted(),
            retained=retained,
            series=self.series(),
            rights=self.rights(set(retained)),
        )

    def alerts(self) -> dict[str, str]:
        """State of each alert that the broker has, by name."""
        with self.asker("nexus.web", "alerts") as asker:
            assert asker.subscribe(f"_nexus/{SITE}/alert/#", qos=0)
            asker.fence()
            return {topic.rpartition("/")[2]: json.loads(payload)["state"] for topic, payload in asker.heard if payload}

    def kept_days(self) -> int:
        """How long samples of the site's class are kept."""
        (row,) = self.query("select keep_ms from nexus.retention_class where name = 'process' and site = $1", SITE)
        return int(row["keep_ms"]) // 86_400_000

    def wait_shows(self, site: Drawn, context: str) -> None:
        """Until the plant is as a site says: the broker has exactly the values that its devices hold, and the alert."""
        wanted = site.values()
        watched = None if site.alert is None else wanted[site.tag(*site.alert)]
        try:
            wait_until(lambda: self.retained() == wanted, "the values")
        except AssertionError:
            shown = self.retained()
            assert shown == wanted, context
            raise
        if site.alert is None:
            wait_until(lambda: "watched" not in self.alerts(), f"no alert: {context}")
        elif watched is not None:
            wait_until(lambda: self.alerts().get("watched") == "active", f"the alert: {context}")
        assert f"{self.kept_days()}d" == site.keep, context


@contextmanager
def pairs_plant(folder: Path, site: Drawn) -> Iterator[PairsPlant]:
    """A plant that runs a site."""
    found = PairsPlant(folder)
    try:
        found.start(site)
        yield found
    finally:
        found.stop()
