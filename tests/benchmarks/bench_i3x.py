"""i3X on the 41,000 tags of sites/plant-1000: the list of every object, the first time and the next, and 1,000 values at once beside a bare
Starlette handler that answers as many bytes behind the same HTTP server. Run: python -m tests.benchmarks i3x
"""

from __future__ import annotations

import http.client
import tempfile
import time
from pathlib import Path

import orjson

from tests.benchmarks.bench_web import BULK, SECONDS, site_files
from tests.benchmarks.figures import Figure
from tests.benchmarks.web_process import WebProcess, web_process

HEADERS = {
    "authorization": "Bearer a-token-as-long-as-a-real-one-would-be-0123456789",
    "content-type": "application/json",
}
NEXT = 5


def _asked(web: WebProcess, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[float, float, bytes]:
    """Seconds, processor seconds of the server, and the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=120)
    before, began = web.ask("stats")["cpu_s"], time.perf_counter()
    try:
        connection.request(method, "/i3x/v1" + path, body=body or None, headers=HEADERS | headers)
        answer = connection.getresponse()
        found = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise RuntimeError(found[:400])
    took = time.perf_counter() - began
    return took, web.ask("stats")["cpu_s"] - before, found


def _objects(web: WebProcess) -> list[Figure]:
    gzip = {"accept-encoding": "gzip"}
    first_s, first_cpu_s, packed = _asked(web, "GET", "/objects", **gzip)
    later = sorted(_asked(web, "GET", "/objects", **gzip) for _ in range(NEXT))
    next_s, next_cpu_s, _ = later[NEXT // 2]
    plain = _asked(web, "GET", "/objects")[2]
    count = len(orjson.loads(plain)["result"])
    return [
        Figure(
            name=f"GET /objects of {count:,} objects, the first after a deployment",
            value=first_s,
            unit="s",
            at_most=1.0,
            note=f"{first_cpu_s:.2f} s of processor time",
        ),
        Figure(
            name="the same, the next",
            value=next_s * 1e3,
            unit="ms",
            at_most=1000,
            note=f"{next_cpu_s * 1e3:.0f} ms of processor time",
        ),
        Figure(
            name="its bytes, compressed",
            value=len(packed) / 1e3,
            unit="kB",
            limit=len(plain) / 1e3,
            limit_name="not compressed",
            at_most=1000,
        ),
    ]


def _values(web: WebProcess, bare: WebProcess, paths: list[str]) -> list[Figure]:
    body = orjson.dumps({"elementIds": paths[:BULK]})
    size = len(_asked(web, "POST", "/objects/value", body)[2])
    bare.ask(f"size {size}")
    found, used = web.clients("i3x", 1, SECONDS)
    bare_found, bare_used = bare.clients("i3x", 1, SECONDS)
    return [
        Figure(
            name=f"POST /objects/value of {BULK:,} ids, round trip p95",
            value=found["p95_ms"],
            unit="ms",
            limit=bare_found["p95_ms"],
            limit_name="bare Starlette, as many bytes",
            at_most=20,
            note=f"p50 {found['p50_ms']:.1f} ms, bare {bare_found['p50_ms']:.1f} ms; {size / 1e3:,.0f} kB",
        ),
        Figure(
            name="the same, processor time of the server",
            value=used / found["count"] * 1e3,
            unit="ms",
            limit=bare_used / bare_found["count"] * 1e3,
            limit_name="bare Starlette, as many bytes",
            at_most=20,
        ),
    ]


def run() -> list[Figure]:
    """For `python -m tests.benchmarks`."""
    with tempfile.TemporaryDirectory() as folder:
        resources, paths = site_files(Path(folder))
        with web_process("web", resources, paths) as web, web_process("bare", resources, paths) as bare:
            return _objects(web) + _values(web, bare, paths.read_text(encoding="utf-8").split())
