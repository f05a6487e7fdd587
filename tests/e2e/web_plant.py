"""The counting plant with two webs behind one name, people, and followers of every kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from tests.e2e.commanded import Drive
from tests.e2e.plant import SITE as COUNTING
from tests.e2e.plant import Plant
from tests.e2e.runtime import NEXUS
from tests.e2e.web_followers import Followers, Forwarder, I3xFollower, Key, SocketFollower
from tests.servers import free_port
from tests.waiting import wait_until

WEBS = ("web-a", "web-b")
STEADY = "hall/line-1/drive/fixed"
"""A tag that changes only when the test wants it."""
DRIVE = """
          drive:
            protocol: modbus
            connection: {{host: 127.0.0.1, port: {port}, unit_id: 1, timeout: 5s}}
            tags: {{fixed: {{address: "holding:3", type: uint16}}}}
access:
  roles: {{viewer: {{read: ["**"]}}}}
  users: {{vera: {{role: viewer}}}}
"""
ROWS = """
SELECT s.path, floor(extract(epoch FROM x."time") * 1000)::bigint AS ms, x.value, x.quality
FROM nexus.sample x JOIN nexus.series s ON s.id = x.series_id
WHERE x."time" >= to_timestamp($1::float8 / 1000) AND x."time" < to_timestamp($2::float8 / 1000)
"""


class WebPlant(Plant):
    """See above.

    Attributes:
        name: The forwarder: what the clients know as web.
        socket: A WebSocket client.
        head: Of a program that may read.
        syncing, streaming: i3X subscriptions of every tag.
    """

    more_principals = ("nexus.web",)

    def __init__(self, folder: Path, *, devices: int) -> None:
        super().__init__(folder, devices=devices)
        self.drive = Drive()
        self.roles = (*self.roles, *WEBS)
        self.ports |= {web: free_port() for web in WEBS}
        self.followers = Followers()
        self.name = Forwarder(self.ports[WEBS[0]])
        self.head: dict[str, str] = {}
        self.socket: SocketFollower
        self.syncing: I3xFollower
        self.streaming: I3xFollower

    def start(self) -> None:
        """Start every part, and let the clients follow."""
        self.drive.start()
        super().start()
        for web in WEBS:
            self.wait_ready(web)
        self.followers.do(self.name.start(free_port()))
        self.wait_rows_beyond(dict.fromkeys(self.tags, 20))
        self.hold(1)
        self.head = {"authorization": f"Bearer {self.nexus('access', 'token', 'vera').strip()}"}
        head = self.head
        for web in WEBS:  # who is known stays known while the database is away
            wait_until(lambda web=web: self.health(web).get("state") == "up", f"{web}: {self.health(web)}")
        self.socket = SocketFollower(self.url, self.site, head)
        self.syncing, self.streaming = (I3xFollower(self.url, head, [*self.tags, STEADY]) for _ in range(2))
        for each in (self.syncing, self.streaming):
            self.followers.do(each.subscribe())
        for work in (self.socket.run(), self.syncing.sync(), self.streaming.stream()):
            self.followers.begin(work)
        wait_until(lambda: set(self.socket.newest) == {*self.tags, STEADY}, "a value of every tag")

    def stop(self) -> None:
        """Stop it all."""
        self.followers.stop()
        super().stop()
        self.drive.stop()

    def write_site(self, devices: int | None = None) -> None:
        """As the counting plant, with a drive and a person."""
        lines = [
            f"          unit-{n}: {{template: counter, with: {{unit_id: {n}}}}}" for n in range(1, self.devices + 1)
        ]
        text = COUNTING.format(poll=self.poll, port=self.device_port, devices="\n".join(lines))
        (self.folder / "site.yaml").write_text(text.rstrip() + DRIVE.format(port=self.drive.port))

    def apply(self, *more: str) -> str:
        """`nexus apply --yes`. A gateway of a busy machine may take the configuration after its end: its rows are waited for."""
        done = self.cli("apply", "site.yaml", "--yes", "--allow", "acl-widen=**", *more)
        late = done.returncode == 4 and "it takes the configuration when it returns" in done.stdout
        assert done.returncode == 0 or late, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def start_part(self, part: str) -> None:
        """As everywhere; a web under its name."""
        if part in WEBS:
            self.spawn(part, [*NEXUS, "run", "web", "--name", part])
        else:
            super().start_part(part)

    # --- looking --------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """What the clients know as web."""
        return f"http://127.0.0.1:{self.name.port}"

    @property
    def tags(self) -> list[str]:
        """The counters."""
        return [
            f"hall/line-1/unit-{n}/{tag}" for n in range(1, self.devices + 1) for tag in ("first", "second", "third")
        ]

    def hold(self, value: int) -> None:
        """Let the steady tag have a value."""
        self.drive.hold("fixed", value)

    def health(self, web: str) -> dict[str, Any]:
        """What a web says of the plant; {} while it does not."""
        url = f"http://127.0.0.1:{self.ports[web]}/v1/sites/{self.site}/health"
        try:
            answer = httpx.get(url, headers=self.head, timeout=10)
        except httpx.HTTPError:
            return {}
        found: dict[str, Any] = answer.json() if answer.status_code == 200 else {}
        return found

    def replaced_values(self) -> int:
        """Live values that a newer one replaced before the gateway published them, so far."""
        status = httpx.get(f"http://127.0.0.1:{self.ports['gateway']}/status", timeout=30).json()
        return int(status["counters"]["live_conflated"])

    def stored(self, since_ms: int, until_ms: int) -> dict[Key, Any]:
        """Rows of a window."""
        rows = self.query(ROWS, float(since_ms), float(until_ms))
        return {(row["path"], row["ms"]): row["value"] for row in rows}


__all__ = ["STEADY", "WEBS", "WebPlant"]
