"""`nexus certs`: the OPC UA certificates of this .nexus folder."""

from __future__ import annotations

from pathlib import Path

import click

from nexus_cli.cli.console import answer, answer_json, note
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import format_option
from nexus_cli.cli.views.certs import certificate, document, one, text
from nexus_cli.exit_codes import Exit
from nexus_cli.project import certs
from nexus_cli.settings import load_settings


@click.group("certs", short_help="Show, renew and export OPC UA certificates.")
def command() -> None:
    """Show, renew or export the runtime's OPC UA client certificate, and show or forget the servers' certificates.

    \b
    Example:
      nexus certs show
      nexus certs export nexus.der
    """


@command.command("show", epilog=help_text(Exit.OK))
@format_option("text", "json")
def show(format_: str) -> int:
    """Show the client certificate and the known server certificates: file, thumbprint, names, validity.

    \b
    Example:
      nexus certs show --format json
    """
    result = document(*certs.show(load_settings().home))
    if format_ == "json":
        answer_json(result)
    else:
        answer(text(result))
    return Exit.OK


@command.command("renew", epilog=help_text(Exit.OK, Exit.FINDINGS))
def renew() -> int:
    """Create a new client certificate and key for new connections; servers must trust it again. The old one is kept.

    \b
    Example:
      nexus certs renew
    """
    made, before = certs.renew(load_settings().home)
    answer(certificate(one(made), "ours"))
    if before is not None:
        note(f"the one before is in {before}")
    note("servers trust the new one once it is in their list: nexus certs export")
    return Exit.OK


@command.command("export", epilog=help_text(Exit.OK, Exit.FINDINGS))
@click.argument("path", default=".", type=click.Path(path_type=Path))
@click.option("--pem", is_flag=True, help="Write PEM text instead of DER.")
def export(path: Path, pem: bool) -> int:
    """Copy the client certificate, without its key, to PATH (a file or folder), for a server's trust list. It is made when there
    is none yet.

    \b
    Example:
      nexus certs export nexus.der
    """
    answer(certificate(one(certs.export(load_settings().home, path, pem=pem)), "copied"))
    return Exit.OK


@command.command("forget", epilog=help_text(Exit.OK, Exit.FINDINGS))
@click.argument("endpoint")
def forget(endpoint: str) -> int:
    """Remove the stored certificate of the server at ENDPOINT: the next one that it presents is accepted.

    \b
    Example:
      nexus certs forget opc.tcp://10.0.0.5:4840
    """
    file = certs.forget(load_settings().home, endpoint)
    answer(f"removed {file}" if file is not None else f"no certificate is kept of {endpoint}")
    return Exit.OK if file is not None else Exit.FINDINGS
