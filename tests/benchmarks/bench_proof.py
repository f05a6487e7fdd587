"""What proof costs: a signed message beside the bare HMAC, a compressed frame batch, audit rows with and without their links."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from nexus_cli.database import migrate
from nexus_cli.database.connect import connection
from nexus_cli.runtime.gateway.commands.admission import Clocks, Rejection
from nexus_cli.runtime.gateway.commands.signed import SignatureGuard
from nexus_cli.runtime.signed_values import Refused, SignedValues
from nexus_cli.settings import Settings
from nexus_cli.wire.frame_batch import Shape, columns_of, encode_batch
from nexus_cli.wire.frame_compression import compressed, expanded
from nexus_cli.wire.message import Message
from nexus_cli.wire.signature import (
    KeyRules,
    SignatureRules,
    checker,
    ed25519_signature,
    hmac_signature,
    public_key,
    seal,
    signed_bytes,
)
from tests.benchmarks.figures import Figure
from tests.postgres import EmbeddedPostgres, new_database

SECRET = "a-secret-of-at-least-thirty-two-bytes"
PAYLOAD = b'{"id":"0123456789abcdef","value":42.5,"expires_at":1800000010000000,"reason":"shift change"}'
TOPIC = "_nexus/acme/chicago/cmd/packaging/line-1/filler/setpoint/mes"
DEVICE, VALUE = "packaging/line-1/filler", "acme/chicago/packaging/line-1/scale-7/weight"
WRITERS, ROWS = 8, 100


def run() -> list[Figure]:
    """All figures."""
    return [*_signatures(), *_doors(), *_frames(), *_audit()]


def each_us(work: Callable[[], object], *, times: int = 20_000) -> float:
    """µs of one call: the best of five rounds."""
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(times // 5):
            work()
        best = min(best, (time.perf_counter() - began) / (times // 5))
    return best * 1e6


def _signatures() -> Iterable[Figure]:
    def data() -> bytes:
        return signed_bytes(
            key="mes", topic=TOPIC, time_us=1, nonce="00112233445566778899aabbccddeeff", payload=PAYLOAD
        )

    key, whole = SECRET.encode(), data()
    bare = each_us(lambda: hmac.new(key, whole, hashlib.sha256).digest())
    sign = hmac_signature(SECRET)
    good = sign(whole)
    check = checker(KeyRules(algorithm="hmac-sha256", principals=["mes"]), secret=SECRET)
    private = ed25519_signature("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
    name = "hmac.new(…).digest() of the standard library"
    public = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
    public_key(public)
    check_ed = checker(KeyRules(algorithm="ed25519", principals=["mes"], public=public), secret="")
    good_ed = private(whole)
    assert check(whole, good) and check_ed(whole, good_ed)
    for what, work, most in (
        ("HMAC-SHA-256: canonical bytes and signature", lambda: sign(data()), 10.0),
        ("HMAC-SHA-256: canonical bytes and check", lambda: check(data(), good), 10.0),
        ("Ed25519: canonical bytes and signature", lambda: private(data()), None),
        ("Ed25519: canonical bytes and check", lambda: check_ed(data(), good_ed), None),
    ):
        yield Figure(name=what, value=each_us(work), unit="us", limit=bare, limit_name=name, at_most=most)


def _doors() -> Iterable[Figure]:
    """Whole messages, each a new one: read, checked, its time and nonce compared."""
    os.environ["BENCH_SECRET"] = SECRET
    made = KeyRules(
        algorithm="hmac-sha256",
        secret="${env:BENCH_SECRET}",
        principals=["mes"],
        topics=["packaging/line-1/scale-7/**"],
    )
    rules = SignatureRules(require=["command", "external"], keys={"mes": made})
    guard, values = (
        SignatureGuard(Clocks(lambda: time.time_ns() // 1000)),
        SignedValues(wall_us=lambda: time.time_ns() // 1000),
    )
    guard.configured(rules)
    guard.took([DEVICE])
    values.configured(rules)
    key, sign, count = SECRET.encode(), hmac_signature(SECRET), 2_000
    path = "packaging/line-1/scale-7/weight"
    for topic, payload in ((TOPIC, PAYLOAD), (VALUE, b"42.5")):
        whole = signed_bytes(key="mes", topic=topic, time_us=1, nonce="0" * 32, payload=payload)
        bare = each_us(lambda whole=whole: hmac.new(key, whole, hashlib.sha256).digest())
        what = "command at the gateway" if topic == TOPIC else "value at its reader"
        best = float("inf")
        for _ in range(5):
            now_us = time.time_ns() // 1000
            sealed = [
                seal(key="mes", sign=sign, topic=topic, payload=payload, time_us=now_us + at) for at in range(count)
            ]
            messages = [Message(topic, one, 1, False) for one in sealed]
            began = time.perf_counter()
            if topic == TOPIC:
                found: list[object] = [guard.open(topic, "mes", one, device=DEVICE) for one in sealed]
            else:
                found = [values.admit(one, path) for one in messages]
            best = min(best, (time.perf_counter() - began) / count * 1e6)
            assert not any(isinstance(one, (Rejection, Refused)) for one in found)
            time.sleep(count / 1e6)
        yield Figure(
            name=f"HMAC-SHA-256: a whole {what}", value=best, unit="us", limit=bare, limit_name="the bare hmac"
        )
    off = SignedValues(wall_us=lambda: 0)
    asked = each_us(lambda: off.active)
    nothing = each_us(lambda: None)
    yield Figure(
        name="a message where nothing is to be signed",
        value=asked,
        unit="us",
        limit=nothing,
        limit_name="an empty call",
    )


def _frames() -> Iterable[Figure]:
    dice = random.Random(7)
    shape = Shape("packaging/line-1/filler", [f"tag-{index}" for index in range(100)])
    for what, value in (
        ("readings of one decimal", lambda: dice.randrange(9000) / 10),
        ("noise", dice.random),
    ):
        payload = encode_batch(
            [
                columns_of(shape, 1_800_000_000_000_000 + at, {tag: value() for tag in shape.tags}, {}, {})
                for at in range(60)
            ],
            epoch="E1",
            seq=1,
        )
        small = compressed(payload)
        size = f"{len(payload)} bytes"
        yield Figure(name=f"zstd of {what}: size", value=len(small), unit="B", limit=len(payload), limit_name=size)
        for verb, work in (("compress", partial(compressed, payload)), ("expand", partial(expanded, small))):
            took = each_us(work, times=2_000)
            yield Figure(name=f"zstd of {what}: {verb}", value=len(payload) / took, unit="MB/s", note=f"{took:.0f} us")


def _audit() -> Iterable[Figure]:
    server = EmbeddedPostgres()
    with tempfile.TemporaryDirectory() as folder:
        try:
            server.start()
            with new_database(server, Path(folder)) as settings:
                asyncio.run(migrate.upgrade(settings))
                for what, in_one in (("one row", 1), ("50 rows", 50)):
                    bare = asyncio.run(audit_rows(settings, linked=False, in_one=in_one))
                    value = asyncio.run(audit_rows(settings, linked=True, in_one=in_one))
                    name = f"audit rows of {WRITERS} writers, {what} a transaction"
                    yield Figure(name=name, value=value, unit="/s", limit=bare, limit_name="without links")
        finally:
            server.close()


async def audit_rows(settings: Settings, *, linked: bool, in_one: int = 1) -> float:
    """Rows per second of eight writers, each row (or so many) in a transaction of its own."""

    async def one(number: int) -> None:
        async with connection(settings) as conn:
            for _ in range(ROWS // in_one):
                async with conn.transaction():
                    for _ in range(in_one):
                        await conn.execute(
                            "INSERT INTO nexus.audit (site, who, what) VALUES ('acme/chicago', $1, 'apply')",
                            str(number),
                        )

    async with connection(settings) as conn:
        await conn.execute(f"ALTER TABLE nexus.audit {'ENABLE ALWAYS' if linked else 'DISABLE'} TRIGGER audit_link")
    began = time.perf_counter()
    await asyncio.gather(*map(one, range(WRITERS)))
    return WRITERS * (ROWS // in_one) * in_one / (time.perf_counter() - began)
