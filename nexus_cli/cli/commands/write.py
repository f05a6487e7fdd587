"""`nexus write`: one value to one tag."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys

import click
import msgspec

from nexus_cli.cli.changing import agreed, styler
from nexus_cli.cli.completing import tag_paths
from nexus_cli.cli.console import answer, answer_bytes, note
from nexus_cli.cli.options import changes_runtime, color_option, format_option
from nexus_cli.cli.views.write import response_json, response_text, wish_text
from nexus_cli.exit_codes import TEXT, Exit
from nexus_cli.model.site import parse_duration
from nexus_cli.project import write as project
from nexus_cli.settings import load_settings

EPILOG = (
    "\b\nExamples:\n  nexus write packaging/line-1/filler/setpoint 42\n"
    "  nexus write packaging/line-1/filler/mode on --expect off --yes --format json\n"
    "  NEXUS_BROKER_PASSWORD_FILE=ann.password nexus write packaging/line-1/filler/setpoint 42 --as ann\n\n"
    "\b\nExit codes:\n  0  done: the device holds the value\n  1  refused: nothing was sent to the device\n"
    "  4  unknown: the device may have it or not; look at it, don't just repeat\n"
    f"  6  failed: the device refused it or holds another value; or {TEXT[Exit.OUTSIDE]}"
)
EXITS = {"done": Exit.OK, "refused": Exit.FINDINGS, "failed": Exit.OUTSIDE, "unknown": Exit.PARTLY}


@click.command(
    "write", short_help="Write a value to a tag.", epilog=EPILOG, context_settings={"ignore_unknown_options": True}
)
@click.argument("path", shell_complete=tag_paths)
@click.argument("value")
@click.argument("more", nargs=-1, metavar="")
@click.option("--expect", default=None, metavar="VALUE", help="Write only if the tag holds this value right before.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")
@click.option(
    "--timeout",
    "duration",
    default="10s",
    show_default=True,
    metavar="TIME",
    help="Time after which the command expires, at most 60s.",
)
@click.option("--reason", default="", help="Reason, for the audit trail.")
@click.option(
    "--as",
    "user",
    default="",
    metavar="USER",
    help="Send it as this declared user; its password is in NEXUS_BROKER_PASSWORD, or in the file NEXUS_BROKER_PASSWORD_FILE.",
)
@format_option("text", "json")
@color_option
@changes_runtime("NEXUS_CONTROL_URL")
def command(
    path: str,
    value: str,
    more: tuple[str, ...],
    expect: str | None,
    yes: bool,
    duration: str,
    reason: str,
    user: str,
    format_: str,
) -> int:
    """Write VALUE to area/line/device/tag, in the published unit, and show what the device holds afterwards.

    VALUE is a number, true or false, text, the name of an enumeration's code, or JSON for arrays. The command is
    carried out once or not at all, and never after --timeout.
    """
    if option := next((word for word in (value, *more) if word.startswith("--")), ""):
        raise click.NoSuchOption(option)
    if more:
        whole = shlex.quote(" ".join([value, *more]))
        raise click.UsageError(f"One value is written at a time. A text with spaces goes in quotes: {whole}")

    try:
        timeout_s = parse_duration(duration) / 1000
    except ValueError:
        message = f"'{duration}' is not a duration; write 5s or 500ms"
        raise click.BadParameter(message, param_hint="--timeout") from None
    if not 0 < timeout_s <= project.LONGEST_S:
        raise click.BadParameter("a command lives more than 0 and at most 60 s", param_hint="--timeout")
    settings = project.as_user(user) if user else load_settings()
    if not user and {"NEXUS_CONTROL_TOKEN", "NEXUS_CONTROL_TOKEN_FILE"} & os.environ.keys():
        # The token is for control alone: its owner must not be taken for the author of the write.
        note(
            f"sent and recorded as {settings.principal}, not as the owner of the control token; --as USER writes as USER"
        )
    wish = asyncio.run(project.prepare(path, value, settings=settings))
    expected = msgspec.UNSET if expect is None else project.read_expectation(wish, expect)
    if format_ == "text":
        note(wish_text(wish, style=styler(sys.stderr)))
    if not yes and not agreed("Write this?"):
        return Exit.FINDINGS
    found = asyncio.run(project.write(wish, expect=expected, timeout_s=timeout_s, reason=reason, settings=settings))
    if format_ == "json":
        answer_bytes(response_json(wish.path, found))
    else:
        answer(response_text(found, style=styler(sys.stdout)))
    return EXITS[found.state.value]
