"""`nexus mcp` as real clients of the library see it, beside a whole web and a control."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx2
import orjson
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent

from nexus_cli.project.mcp.answers import MOST_CHARACTERS, TEXT_CHARACTERS
from nexus_cli.settings import Settings
from tests.integration.identity_world import SITE
from tests.integration.test_web_forwarding import both
from tests.integration.web_world import WebWorld
from tests.servers import free_port, new_broker
from tests.waiting import until

READING = [
    "find",
    "read",
    "history",
    "statistics",
    "gaps",
    "explain",
    "why_no_data",
    "devices",
    "alarms",
    "audit",
    "validate",
    "plan",
    "drift",
    "simulate",
    "rehearse",
]


@contextlib.asynccontextmanager
async def plant(database: Settings, home: Path) -> AsyncIterator[WebWorld]:
    """Web and control on ports of their own, and a broker."""
    (folder := home / "broker").mkdir()
    broker = new_broker(folder).start()
    try:
        async with both(database, home, broker) as web:
            yield web
    finally:
        broker.stop()


def environment(home: Path, *, token: str = "", control: str = "") -> dict[str, str]:
    """Of the server's process; without a token where there is none."""
    home.mkdir(parents=True, exist_ok=True)
    known = {
        name: value for name, value in os.environ.items() if not name.startswith("NEXUS_") or name == "NEXUS_LOCKS"
    }
    found = {**known, "NEXUS_HOME": str(home), "NEXUS_SITE": SITE}
    found |= {"NEXUS_CONTROL_TOKEN": token} if token else {}
    return found | ({"NEXUS_CONTROL_URL": control} if control else {})


def control_of(web: WebWorld) -> str:
    """Where the control of this web listens."""
    url: str = web.web.parts.forwarder._settings.control_url
    return url


@contextlib.asynccontextmanager
async def over_stdio(
    web_url: str, token: str, home: Path, *more: str, control: str = "", log: Path | None = None
) -> AsyncIterator[Client]:
    """A client that started the server as its child."""
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-m", "nexus_cli", "mcp", "--web", web_url, *more],
        env=environment(home, token=token, control=control),
        cwd=home,
    )
    with (log or home.parent / "stderr.txt").open("w") as errors:
        async with Client(stdio_client(parameters, errlog=errors)) as client:
            yield client


@contextlib.asynccontextmanager
async def serving_http(web_url: str, home: Path, *more: str, control: str = "", **variables: str) -> AsyncIterator[str]:
    """The server on a port; gives the address of its endpoint."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nexus_cli", "mcp", "--web", web_url, "--http", f"127.0.0.1:{port}", *more),
        env=environment(home, control=control) | variables,
        cwd=home,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        line = await process.stderr.readline()
        assert b"mcp listens" in line, line
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.terminate()
        await until(lambda: process.returncode is not None, "the server has ended")
        assert process.returncode == 0


@contextlib.asynccontextmanager
async def over_http(url: str, token: str) -> AsyncIterator[Client]:
    """A client with a token of its own."""
    head = {"authorization": f"Bearer {token}"}
    async with (
        httpx2.AsyncClient(headers=head, timeout=60) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        yield client


def text_of(found: CallToolResult) -> str:
    """The text of an answer."""
    return "\n".join(each.text for each in found.content if isinstance(each, TextContent))


async def structure(client: Client, tool: str, **given: Any) -> dict[str, Any]:
    """The structured answer of a tool that has to succeed, within the caps."""
    found = await client.call_tool(tool, given)
    assert isinstance(found, CallToolResult)
    assert not found.is_error, text_of(found)
    assert isinstance(found.structured_content, dict)
    assert len(orjson.dumps(found.structured_content)) <= MOST_CHARACTERS
    assert 0 < len(text_of(found)) <= TEXT_CHARACTERS
    return found.structured_content


async def refusal(client: Client, tool: str, **given: Any) -> str:
    """The sentence of a tool that has to fail."""
    found = await client.call_tool(tool, given)
    assert isinstance(found, CallToolResult)
    assert found.is_error, text_of(found)
    assert found.structured_content is None
    assert "Traceback" not in text_of(found)
    return text_of(found)


async def names(client: Client) -> Sequence[str]:
    """The tools that a client sees."""
    return [tool.name for tool in (await client.list_tools()).tools]
