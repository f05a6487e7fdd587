"""`nexus publish`: a declared message."""

from __future__ import annotations

import asyncio

import click
import orjson

from nexus_cli.cli.changing import agreed
from nexus_cli.cli.completing import messages
from nexus_cli.cli.console import answer, answer_json, note
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import changes_runtime, color_option, format_option, pairs
from nexus_cli.exit_codes import Exit
from nexus_cli.project import publish as project

EPILOG = (
    "\b\nExamples:\n  nexus publish start-order --set order=17 --set line=one --preview\n"
    "  nexus publish start-order --set order=17 --set line=one --yes\n\n"
    + help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE)
)


@click.command("publish", short_help="Publish a declared message.", epilog=EPILOG)
@click.argument("name", shell_complete=messages)
@click.option(
    "--set", "values", multiple=True, metavar="KEY=VALUE", callback=pairs, help="Value of a field. Repeatable."
)
@click.option("--preview", is_flag=True, help="Show topic and payload only; publish nothing.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")
@format_option("text", "json")
@color_option
@changes_runtime("NEXUS_CONTROL_URL")
def command(name: str, values: dict[str, str], preview: bool, yes: bool, format_: str) -> int:
    """Publish message NAME of the applied site, checked against its schema.

    VALUE is parsed by the field's type in the schema: text as written, anything else as JSON.
    """
    message = asyncio.run(project.prepare(name, values))
    shown = orjson.dumps(orjson.loads(message.payload), option=orjson.OPT_INDENT_2).decode()
    if format_ == "text":
        (answer if preview else note)(f"{message.topic}  (QoS {message.qos}{', retained' * message.retain})\n{shown}")
    if not preview:
        if not yes and not agreed("Publish this?"):
            return Exit.FINDINGS
        asyncio.run(project.publish(message))
    if format_ == "json":
        data = {**message.to_json(), "published": not preview}
        answer_json(data)
    elif not preview:
        answer(f"published on {message.topic}")
    return Exit.OK
