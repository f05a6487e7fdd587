"""Signed messages and compressed frames through a whole runtime: what is refused is answered and in the audit trail, and people,
programs and sequences write as before."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.frame_batch import decode_batch
from nexus_cli.wire.frame_compression import MAGIC
from nexus_cli.wire.signature import Signature, hmac_signature, open_envelope, seal
from tests.e2e.commanded import PATH, SITE, TOPICS, Commanded
from tests.e2e.runtime import NEXUS
from tests.servers import free_port
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.needs_broker, pytest.mark.needs_database]
OWN, FIRST, SECOND, SCALES = (
    f"{name}-secret-of-at-least-thirty-two-bytes" for name in ("own", "first", "second", "scales")
)
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = base64.b64encode(PRIVATE.public_key().public_bytes_raw()).decode()
WEIGHT = TOPICS.tag("hall/line-1/scale/weight")
SECRETS = {"OWN": OWN, "FIRST": FIRST, "SECOND": SECOND, "SCALES": SCALES}
MORE = """
gateways:
  gateway: {compress: always}
access:
  users: {desk: {role: operator}}
  applications: {mes: {role: operator}, scales: {role: operator}}
signatures:
  require: [command, message, external]
  keys:
    own: {algorithm: hmac-sha256, secret: "${env:OWN}", principals: [nexus.control, nexus.web, nexus.cli]}
    first: {algorithm: hmac-sha256, secret: "${env:FIRST}", principals: [desk]UNTIL}
    second: {algorithm: hmac-sha256, secret: "${env:SECOND}", principals: [desk]}
    mes: {algorithm: ed25519, public: "PUBLIC", principals: [mes]}
    scales: {algorithm: hmac-sha256, secret: "${env:SCALES}", principals: [scales], topics: ["hall/line-1/scale/**"]}
"""
TAGS = 600
WIDE = "".join(f'              wide-{n}: {{address: "holding:3", type: uint16}}\n' for n in range(TAGS))
"""So many tags of one register that a change of it is a frame batch above 4 KiB."""
SCALE = "          scale: {protocol: external, tags: {weight: {type: float64, unit: kg}}}\nmessages:"


class Signed(Commanded):
    """A whole runtime that wants everything signed."""

    more_principals = ("nexus.web",)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.roles = (*self.roles, "web")
        self.ports["web"] = free_port()
        for part in (*self.roles, "cli"):
            own = {"NEXUS_SIGNING_KEY": f"own:hmac-sha256:{OWN}"} if part in ("control", "web", "cli") else {}
            self.extra_environment[part] = {**SECRETS, **own, "NEXUS_I3X_WRITES": "on"}

    def start(self) -> None:
        """Start every part and apply the site."""
        self.drive.start()
        super(Commanded, self).start()
        self.write_site()
        self.apply("--allow", "write-enable=**")
        for role in ("gateway", "historian", "web"):
            self.wait_ready(role)

    def write_site(self, *, until: str = "") -> None:
        """The site; the first key of the desk ends then."""
        more = MORE.replace("UNTIL", f", until: '{until}'" if until else "").replace("PUBLIC", PUBLIC)
        text = (
            SITE.format(port=self.drive.port).replace("messages:", f"{WIDE}messages:", 1).replace("messages:", SCALE, 1)
        )
        (self.folder / "site.yaml").write_text(text.rstrip() + more)

    def start_part(self, part: str) -> None:
        """As everywhere, and web."""
        if part == "web":
            self.spawn(part, [*NEXUS, "run", "web"])
        else:
            super().start_part(part)

    def send_signed(
        self, value: Any, *, count: int = 1, payload: bytes = b"", who: str = "desk", **keys: Any
    ) -> dict[str, Any]:
        """A signed command, or these bytes once more; the answer."""
        topic = TOPICS.command(PATH, who)
        payload = payload or sealed(topic, body(value), **keys)
        command = command_id(payload)

        async def ask(client: BrokerClient) -> dict[str, Any]:
            async with client.session() as messages:
                await client.subscribe([(TOPICS.response("+", who, command), 1)])
                for _ in range(count):
                    await client.publish(topic, payload, qos=2)
                found: dict[str, Any] = {}
                async for message in messages:
                    found = json.loads(message.payload)
                    count_left.pop()
                    if not count_left:
                        break
                return found

        count_left = list(range(count))
        found: dict[str, Any] = self.run(ask, wait_s=30) or {}
        return found


def body(value: Any) -> bytes:
    return json.dumps({"id": uuid.uuid4().hex, "value": value, "expires_at": int((time.time() + 50) * 1e6)}).encode()


def sealed(
    topic: str, payload: bytes, *, key: str = "first", sign: Signature | None = None, ahead_s: float = 0.0
) -> bytes:
    time_us = int((time.time() + ahead_s) * 1e6)
    return seal(key=key, sign=sign or hmac_signature(FIRST), topic=topic, payload=payload, time_us=time_us)


def command_id(payload: bytes) -> str:
    inner = open_envelope(payload).payload if b"nexus_signed" in payload else payload
    return str(json.loads(inner)["id"])


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signed]:
    one = Signed(tmp_path_factory.mktemp("signed"))
    try:
        one.start()
        wait_until(lambda: one.status("gateway")["commands"]["connected"], "the command session")
        wait_until(lambda: one.send_signed(20.0).get("state") == "done", "the first command")
        yield one
    finally:
        one.stop()


def refusals(plant: Signed) -> set[tuple[str, str]]:
    rows = plant.query(
        "SELECT who, detail->>'code' AS code FROM nexus.audit WHERE what = 'command' AND detail->>'state' = 'refused'"
    )
    return {(row["who"], row["code"]) for row in rows}


def test_each_wrong_command_is_answered_and_in_the_audit_trail(plant: Signed) -> None:
    plant.drive.field.writes.clear()
    topic = TOPICS.command(PATH, "desk")
    right = sealed(topic, body(41.0))
    assert plant.send_signed(0, payload=right)["state"] == "done"
    assert plant.send_signed(42.0, key="mes", sign=PRIVATE.sign, who="mes")["state"] == "done"
    wrong = {
        "NX6462": {"payload": body(50.0)},
        "NX6463": {"sign": hmac_signature("x" * 40)},
        "NX6464": {"ahead_s": -31.0},
        "NX6465": {"payload": right},
        "NX6466": {"key": "mes", "sign": PRIVATE.sign},
    }
    for code, keys in wrong.items():
        answer = plant.send_signed(50.0, **keys)
        assert (answer["state"], answer["code"]) == ("refused", code)
    assert plant.send_signed(50.0, ahead_s=40.0)["code"] == "NX6464", "from the future"
    assert plant.drive.writes == [(0, 410), (0, 420)]
    wait_until(lambda: {code for _, code in refusals(plant)} >= wrong.keys(), "the audit trail")
    assert {who for who, _ in refusals(plant)} == {"desk"}
    shown = plant.nexus("audit", "--kind", "command", "--who", "desk", "--limit", "50")
    assert all(code in shown for code in wrong)
    assert plant.nexus("audit", "verify").startswith("intact: ")


def test_a_rotated_key_is_refused_and_the_new_one_is_not(plant: Signed) -> None:
    plant.write_site(until="2026-01-01")
    plant.apply()
    try:
        wait_until(lambda: plant.send_signed(30.0).get("code") == "NX6466", "the end of the key")
        assert plant.send_signed(31.0, key="second", sign=hmac_signature(SECOND))["state"] == "done"
    finally:
        plant.write_site()
        plant.apply()
    wait_until(lambda: plant.send_signed(32.0).get("state") == "done", "the key again")


def test_the_command_line_sequences_the_page_and_i3x_write_as_before(plant: Signed) -> None:
    assert "done" in plant.nexus("write", PATH, "21", "--yes")
    plant.nexus("write", "hall/line-1/drive/mode", "off", "--yes")
    heard = plant.run(
        lambda client: first_of(plant, client, TOPICS_ERP, lambda: plant.nexus("sequence", "run", "warm-up", "--yes")),
        wait_s=90,
    )
    opened = open_envelope(heard)
    assert opened.key == "own" and json.loads(opened.payload) == {
        "source": "nexus",
        "order": "17",
        "amount": 3,
    }
    assert plant.drive.held("setpoint") == 555 and plant.drive.held("mode") == 1
    token = plant.nexus("access", "token", "desk").strip()
    url, head = f"http://127.0.0.1:{plant.ports['web']}", {"authorization": f"Bearer {token}"}
    commands = f"{url}/v1/sites/acme/commanded/commands"
    answer = httpx.post(commands, json={"path": PATH, "value": 33}, headers=head, timeout=60)
    assert answer.status_code == 200 and answer.json()["state"] == "done", answer.text
    updates = {"updates": [{"elementId": PATH, "value": {"value": 34.5}}]}
    answer = httpx.put(f"{url}/i3x/v1/objects/value", json=updates, headers=head, timeout=60)
    assert answer.status_code == 200 and answer.json()["results"][0]["success"], answer.text
    assert plant.drive.held("setpoint") == 345


TOPICS_ERP = "erp/orders/one"


async def first_of(plant: Signed, client: BrokerClient, topic: str, act: Any) -> bytes:
    """The first message on a topic after something was done."""
    import asyncio

    async with client.session() as messages:
        await client.subscribe([(topic, 1)])
        await asyncio.to_thread(act)
        async for message in messages:
            return message.payload
    return b""


def test_values_of_others_are_rows_and_shown_only_when_they_are_signed(plant: Signed) -> None:
    async def publish(client: BrokerClient) -> bool:
        async with client.session():
            for payload in (
                scale(1.5),
                b"99",
                sealed(WEIGHT, b"98", key="scales", sign=hmac_signature("x" * 40)),
                scale(97, ahead_s=-40),
                scale(2.5),
            ):
                await client.publish(WEIGHT, payload, retain=True)
        return True

    assert plant.run(publish)
    rows = "SELECT x.value FROM nexus.sample x JOIN nexus.series s ON s.id = x.series_id WHERE s.path LIKE '%scale/weight' ORDER BY x.time"
    wait_until(lambda: [row["value"] for row in plant.query(rows)] == [1.5, 2.5], "the rows")
    letters = "SELECT reason FROM nexus.dead_letter WHERE topic = $1 ORDER BY reason"
    wanted = ["not_signed", "signature_time", "signature_wrong"]
    wait_until(lambda: [row["reason"] for row in plant.query(letters, WEIGHT)] == wanted, "the dead letters")
    shown = plant.nexus("audit", "--kind", "signature")
    assert shown.count("a message of hall/line-1/scale/weight was refused") == 3
    read = json.loads(plant.nexus("read", "hall/line-1/scale/weight", "--format", "json", "--wait", "10s"))
    assert read["value"] == 2.5
    token = plant.nexus("access", "token", "desk").strip()
    url = f"http://127.0.0.1:{plant.ports['web']}/i3x/v1/objects/value"
    answer = httpx.post(
        url, json={"elementIds": ["hall/line-1/scale/weight"]}, headers={"authorization": f"Bearer {token}"}, timeout=60
    )
    assert answer.json()["results"][0]["result"]["value"] == 2.5, answer.text


def scale(value: float, *, ahead_s: float = 0.0) -> bytes:
    return sealed(WEIGHT, json.dumps(value).encode(), key="scales", sign=hmac_signature(SCALES), ahead_s=ahead_s)


def test_every_reader_has_what_compressed_frames_carry(plant: Signed) -> None:
    """`compress: always`: the wire has a compressed batch; the rows, the retained values and web have its values."""

    async def listen(client: BrokerClient) -> bytes:
        async with client.session() as messages:
            await client.subscribe([(TOPICS.batches("gateway"), 1)])
            plant.drive.hold("fixed", 4321)
            async for message in messages:
                if message.payload[:4] == MAGIC:
                    return message.payload
        return b""

    payload = plant.run(listen, wait_s=90)
    (shape,) = decode_batch(payload).shapes
    assert shape[0] == "hall/line-1/drive"
    rows = "SELECT count(DISTINCT s.path) AS n FROM nexus.sample x JOIN nexus.series s ON s.id = x.series_id WHERE s.path LIKE '%/wide-%' AND x.value = 4321"
    wait_until(lambda: plant.query(rows)[0]["n"] == TAGS, "a row of each tag")
    wide = [f"hall/line-1/drive/wide-{n}" for n in (0, TAGS - 1)]
    for path in wide:
        assert json.loads(plant.nexus("read", path, "--format", "json", "--wait", "10s"))["value"] == 4321
    token = plant.nexus("access", "token", "desk").strip()
    url = f"http://127.0.0.1:{plant.ports['web']}/i3x/v1/objects/value"
    answer = httpx.post(url, json={"elementIds": wide}, headers={"authorization": f"Bearer {token}"}, timeout=60)
    assert [each["result"]["value"] for each in answer.json()["results"]] == [4321, 4321], answer.text
