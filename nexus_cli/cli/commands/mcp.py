"""`nexus mcp`: the plant for agents."""

from __future__ import annotations

import asyncio
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import click

from nexus_cli.cli.console import note
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import env_option, reads_runtime, site_argument, var_option, web_option
from nexus_cli.cli.views.findings import document, text
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.exit_codes import Exit
from nexus_cli.local.layout import home_of
from nexus_cli.plan.text import plan_text
from nexus_cli.runtime.logging import configure_logging
from nexus_cli.settings import Settings, load_settings
from nexus_cli.wire.web_client import WebDoor

EPILOG = (
    '\b\nExample, a client\'s configuration:\n  {"mcpServers": {"plant": {\n    "command": "nexus",\n'
    '    "args": ["--home", "/srv/plant/.nexus", "mcp", "/srv/plant/site.yaml"],\n'
    '    "env": {"NEXUS_CONTROL_TOKEN_FILE": "/home/vera/.nexus-token"}}}}\n\n'
    '\b\nOver HTTP, with a token of each caller:\n  nexus mcp --http 127.0.0.1:8765\n  {"mcpServers": {"plant": '
    '{"type": "http", "url": "http://127.0.0.1:8765/mcp",\n    "headers": {"Authorization": "Bearer TOKEN"}}}}\n\n'
    + help_text(Exit.OK, Exit.OUTSIDE)
)


@click.command("mcp", epilog=EPILOG)
@site_argument
@env_option
@var_option
@web_option
@click.option("--http", "address", metavar="HOST:PORT", help="Serve streamable HTTP at /mcp instead of stdio.")
@click.option("--allow-host", "hosts", multiple=True, metavar="NAME", help="Another name of --http's host. Repeatable.")
@click.option(
    "--allow-write", "writable", multiple=True, metavar="GLOB", help="Offer `write`, for these paths only. Repeatable."
)
@reads_runtime("")
def command(
    path: str | None,
    env: str | None,
    variables: dict[str, str],
    web: str,
    address: str | None,
    hosts: tuple[str, ...],
    writable: tuple[str, ...],
) -> int:
    """Serve the plant to an agent over the Model Context Protocol: find, read, history, explain, plan, simulate and more.

    SITE is the site file for validate, plan, drift and simulate. Answers are within the rights of the caller: over stdio those of
    NEXUS_CONTROL_TOKEN, or of this folder; over HTTP those of the token that each client shows. Nothing is ever applied.
    """
    if find_spec("mcp") is None:
        raise NexusError("The package for the Model Context Protocol is not installed.", code="NX6940")
    from nexus_cli.project.mcp.asking import Asking, Views  # noqa: PLC0415 - needs the extra

    serving = import_module("nexus_cli.project.mcp.serving")
    settings = load_settings()
    configure_logging(log_format=settings.log_format, log_level=settings.log_level, role="mcp")
    asking = Asking(
        settings=settings,
        door=WebDoor(web or _web_of(settings), settings),
        site_path=path,
        env=env,
        variables=variables,
        views=Views(findings=document, findings_text=_findings, plan_text=_plan),
        over_http=address is not None,
    )
    if address is None:
        if sys.stdin.isatty():
            note(
                "an MCP client starts this command and speaks with it here: `nexus mcp --help` has its configuration; Ctrl-C ends"
            )
        asyncio.run(serving.serve_stdio(asking, writable=writable))
    else:
        asyncio.run(serving.serve_http(asking, address=address, hosts=hosts, writable=writable))
    return Exit.OK


def _web_of(settings: Settings) -> str:
    return home_of(settings).read_runtime().web_url


def _plain(words: str, _style: str) -> str:
    return words


def _findings(found: dict[str, Any]) -> str:
    return text(found, style=_plain)


def _plan(found: Any) -> str:
    return plan_text(found, style=_plain)
