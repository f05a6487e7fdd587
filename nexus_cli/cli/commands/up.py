"""`nexus up`: broker, database and roles on this machine."""

from __future__ import annotations

import re
import sys

import click

from nexus_cli.cli.changing import complain
from nexus_cli.cli.console import answer, colour_wanted, note, style
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import env_option, site_argument, var_option
from nexus_cli.cli.views.status import render_up
from nexus_cli.exit_codes import Exit
from nexus_cli.project.up import UpResult, up


@click.command(
    "up",
    short_help="Start the runtime on this machine.",
    epilog=help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE),
)
@site_argument
@env_option
@var_option
@click.option(
    "--broker", default="", metavar="KIND|URL", help="mosquitto, amqtt, or mqtt(s)://host:port of your own broker."
)
@click.option(
    "--database", default="", metavar="URL", help="embedded, or postgresql://user@host/name of your own server."
)
@click.option("--beside", is_flag=True, help="Start even if another runtime of this site runs on this machine.")
@click.option(
    "--listen", metavar="ADDRESS", help="Listen there with TLS; 0.0.0.0 for every interface. [default: 127.0.0.1]"
)
@click.option("--mutual-tls/--no-mutual-tls", default=None, help="Require client certificates at broker and database.")
@click.option("--mock", is_flag=True, help="Simulators in the place of every device.")
@click.option("--foreground", is_flag=True, help="Stay in the foreground, and stop everything at Ctrl-C.")
@click.option(
    "--wait",
    "timeout_s",
    type=click.FloatRange(1, 3600),
    default=60.0,
    metavar="SECONDS",
    help="Give up after this long without progress.",
)
def command(
    path: str | None,
    env: str | None,
    variables: dict[str, str],
    broker: str,
    database: str,
    beside: bool,
    listen: str | None,
    mutual_tls: bool | None,
    mock: bool,
    foreground: bool,
    timeout_s: float,
) -> int:
    """Start a broker, PostgreSQL, control, the historian, web, a worker and every gateway of a site, and restart them if they stop.

    Runs mosquitto if it is installed and amqtt otherwise, and the embedded PostgreSQL. --broker and --database
    (or NEXUS_BROKER_URL, NEXUS_DATABASE_URL) select your own servers, and are remembered. Data, logs and generated
    credentials (mode 0600) are in .nexus/. Everything listens on 127.0.0.1; --listen needs a certificate of `nexus certs`
    and is remembered. Safe to repeat: only gateways that are new in the site are started.

    --mock lets a simulator answer for every device: the site and what is recorded of it stay as they are, and no address of
    the plant is connected to. Broker and database are its own; a folder is either a plant's or a mock's.

    \b
    Example:
      nexus up sites/demo/site.yaml && nexus apply sites/demo/site.yaml
    """
    colour = colour_wanted(sys.stderr)

    shown: set[str] = set()

    def progress(name: str, state: str, detail: str) -> None:
        if state == "running":
            note(style(f"  {name} runs", "dim", enabled=colour))
        elif state == "slow":
            note(style(f"  waiting for {name}" + (f": {detail}" if detail else ""), "dim", enabled=colour))
        elif state == "stopping":
            note(style(f"  stopping {name}: {detail}", "warning", enabled=colour))
        elif state == "backoff" and (reason := name + re.sub(r"\d+", "", detail)) not in shown:
            shown.add(reason)  # repeated tries for one reason (process ids apart) are shown once
            note(style(f"  {name} is tried again: {detail}", "warning", enabled=colour))

    def show(result: UpResult) -> None:
        assert result.runtime is not None
        answer(render_up(result.runtime, result.credentials, foreground=foreground, colour=colour_wanted(sys.stdout)))

    try:
        result = up(
            path,
            env=env,
            variables=variables,
            broker=broker,
            database=database,
            beside=beside,
            listen=listen,
            mutual_tls=mutual_tls,
            mock=mock,
            foreground=foreground,
            timeout_s=timeout_s,
            progress=progress,
            found=lambda each: complain(each.findings, each.files),
            ready=show,
        )
    except KeyboardInterrupt:
        note("`nexus status` shows what was started; `nexus down` stops it")
        raise
    if foreground and result.runtime is not None:
        note("stopped")
    return Exit.OK if result.runtime is not None else Exit.FINDINGS
