"""`nexus mcp` as real clients of the library see it, beside a whole web."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp_types import CallToolResult, TextContent

from tests.integration.identity_world import SITE


def arguments(web_url: str, token: str, home: Path, *more: str) -> StdioServerParameters:
    """How a client starts the server."""
    home.mkdir(parents=True, exist_ok=True)
    known = {name: value for name, value in os.environ.items() if not name.startswith("NEXUS_")}
    return StdioServerParameters(
        command=sys.executable,
        args=["-m", "nexus_cli", "mcp", "--web", web_url, *more],
        env={**known, "NEXUS_HOME": str(home), "NEXUS_SITE": SITE, "NEXUS_CONTROL_TOKEN": token},
        cwd=home,
    )


@contextlib.asynccontextmanager
async def over_stdio(
    web_url: str, token: str, home: Path, *more: str, log: Path | None = None
) -> AsyncIterator[Client]:
    """A client that started the server as its child."""
    with (log or home.parent / "stderr.txt").open("w") as errors:
        async with Client(stdio_client(arguments(web_url, token, home, *more), errlog=errors)) as client:
            yield client


def text_of(found: CallToolResult) -> str:
    """The text of an answer."""
    return "\n".join(each.text for each in found.content if isinstance(each, TextContent))


async def structure(client: Client, tool: str, **given: Any) -> dict[str, Any]:
    """The structured answer of a tool that has to succeed."""
    found = await client.call_tool(tool, given)
    assert isinstance(found, CallToolResult)
    assert not found.is_error, text_of(found)
    assert isinstance(found.structured_content, dict)
    return found.structured_content


async def refusal(client: Client, tool: str, **given: Any) -> str:
    """The sentence of a tool that has to fail."""
    found = await client.call_tool(tool, given)
    assert isinstance(found, CallToolResult)
    assert found.is_error, text_of(found)
    assert found.structured_content is None
    return text_of(found)


async def names(client: Client) -> Sequence[str]:
    """The tools that a client sees."""
    return [tool.name for tool in (await client.list_tools()).tools]
