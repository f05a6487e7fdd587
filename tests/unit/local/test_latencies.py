"""`nexus latency` asks each role's `/status`, and says which one does not answer."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from nexus_cli.local.latencies import ask_latencies
from nexus_cli.local.layout import Home, Runtime
from nexus_cli.wire.gateway_health import GatewayHealth
from nexus_cli.wire.health import WebHealth, encode
from nexus_cli.wire.latency_health import LatencyWindow, OperationLatency

READ = OperationLatency(minute=LatencyWindow(count=3, p50_ms=1.0, p95_ms=2.0, p99_ms=2.0, max_ms=2.0))


@contextlib.contextmanager
def answering(payload: bytes) -> Iterator[int]:
    """The port of a role that answers with this."""

    class Role(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Role) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


async def test_every_role_is_asked_and_who_is_mute_is_named(tmp_path: Path) -> None:
    home = Home(tmp_path)
    gateway = encode(GatewayHealth(role="gateway", name="gw-1", latencies={"read": READ}))
    web = encode(WebHealth(role="web", name="web-1f", latencies={"api": OperationLatency()}))
    with answering(gateway) as one, answering(web) as two, answering(b"[]") as broken:
        ports = {"nexus.gateway.gw-1": one, "nexus.web": two, "nexus.historian": broken}
        home.write_runtime(Runtime(site="acme/chicago", gateways=["gw-1"], http_ports=ports))
        found = await ask_latencies(home)
        only = await ask_latencies(home, role="gateway")
    rows = [(row.role, row.name, row.operation, row.window, row.count) for row in found.rows]
    assert rows == [
        ("gateway", "gw-1", "read", "1m", 3),
        ("gateway", "gw-1", "read", "1h", 0),
        ("web", "web-1f", "api", "1m", 0),
        ("web", "web-1f", "api", "1h", 0),
    ]
    assert found.missing == ["control: does not run here", "historian: does not answer"]
    assert [row.role for row in only.rows] == ["gateway", "gateway"] and only.missing == []


async def test_a_folder_where_nothing_was_started(tmp_path: Path) -> None:
    found = await ask_latencies(Home(tmp_path))
    assert found.rows == []
    assert found.missing == [f"{role}: does not run here" for role in ("control", "historian", "web")]
