"""`nexus certs`: the CA of this .nexus folder, what it issues, and the OPC UA certificates."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click

from nexus_cli.certificates.authority import CA_DAYS, LEAF_DAYS
from nexus_cli.certificates.names import CertificateKind
from nexus_cli.cli.console import answer, answer_json, note
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import WholeNumber, format_option
from nexus_cli.cli.views.certs import (
    ca_document,
    ca_text,
    certificate,
    document,
    issued_document,
    issued_text,
    one,
    revoked_text,
    text,
)
from nexus_cli.exit_codes import Exit
from nexus_cli.model.spelling import parse_duration
from nexus_cli.project import certs, certs_ca
from nexus_cli.settings import load_settings

DAYS = WholeNumber(1, 36_500)


@click.group("certs", short_help="Issue, renew, revoke and show certificates.")
def command() -> None:
    """A small CA for a site: server, client and OPC UA certificates; and the OPC UA certificates that servers showed.

    \b
    Example:
      nexus certs init
      nexus certs issue server --kind server --dns plant-server --ip 10.0.0.5
      nexus certs show
    """


@command.command("init", epilog=help_text(Exit.OK, Exit.FINDINGS))
@click.option("--days", type=DAYS, default=CA_DAYS, show_default=True, help="How long the CA is valid.")
def init(days: int) -> int:
    """Create the CA of this folder: .nexus/certs/ca.pem for all who shall trust it, and its key (mode 0600).

    \b
    Example:
      nexus certs init
    """
    answer(ca_text(ca_document(certs_ca.init(load_settings().home, days=days))))
    note("next: nexus certs issue server --kind server --dns NAME --ip ADDRESS")
    return Exit.OK


@command.command("issue", epilog=help_text(Exit.OK, Exit.FINDINGS))
@click.argument("name")
@click.option(
    "--kind", type=click.Choice([str(kind) for kind in CertificateKind]), required=True, help="What it is for."
)
@click.option("--dns", "hosts", multiple=True, metavar="NAME", help="DNS name by which clients reach it. Repeatable.")
@click.option(
    "--ip", "addresses", multiple=True, metavar="ADDRESS", help="Address by which clients reach it. Repeatable."
)
@click.option("--days", type=DAYS, default=LEAF_DAYS, show_default=True, help="How long it is valid.")
@click.option("--application-uri", "uri", default="", metavar="URI", help="ApplicationURI; left out, that of NEXUS.")
@click.option("--own", is_flag=True, help="Show it to OPC UA servers from now on as the client certificate.")
def issue(
    name: str, kind: str, hosts: tuple[str, ...], addresses: tuple[str, ...], days: int, uri: str, own: bool
) -> int:
    """Issue a certificate with a new key: .nexus/certs/issued/NAME.pem and NAME.key. An existing one is not replaced.

    \b
    Example:
      nexus certs issue server --kind server --dns plant-server --ip 10.0.0.5
      nexus certs issue scada --kind client
      nexus certs issue nexus-opcua --kind opcua --own
    """
    home = load_settings().home
    made = certs_ca.issue(
        home, name, kind=CertificateKind(kind), hosts=hosts, addresses=addresses, days=days, uri=uri, own=own
    )
    answer(issued_text(issued_document(made)))
    return Exit.OK


@command.command("revoke", epilog=help_text(Exit.OK, Exit.FINDINGS))
@click.argument("name")
def revoke(name: str) -> int:
    """Revoke every certificate of NAME and remove its files; a running broker or database reads the list at once.

    Connections that are open stay: `nexus down` and `nexus up` end them.

    \b
    Example:
      nexus certs revoke scada
    """
    home = load_settings().home
    answer(revoked_text(certs_ca.revoke(home, name)))
    note("new connections with it are refused; open ones stay until they end")
    return Exit.OK


@command.command("show", epilog=help_text(Exit.OK))
@format_option("text", "json")
def show(format_: str) -> int:
    """Show the CA with what it issued, the OPC UA client certificate, and the known OPC UA servers' certificates.

    \b
    Example:
      nexus certs show --format json
    """
    home = load_settings().home
    result = document(*certs.show(home), certs_ca.show(home))
    if format_ == "json":
        answer_json(result)
    else:
        answer(text(result))
    return Exit.OK


def _days(_: click.Context, __: click.Parameter, value: str | None) -> timedelta | None:
    try:
        return None if value is None else timedelta(milliseconds=parse_duration(value, usual=("d", "h")))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@command.command("renew", epilog=help_text(Exit.OK, Exit.FINDINGS))
@click.argument("name", default="")
@click.option("--all", "every", is_flag=True, help="Renew everything that the CA issued.")
@click.option("--due", metavar="TIME", callback=_days, help="Renew what ends within this time, such as 30d.")
def renew(name: str, every: bool, due: timedelta | None) -> int:
    """Renew certificates of the CA, with new keys and the same names. Listeners that run show them to new connections.

    Without NAME, --all or --due: create a new OPC UA client certificate and key for new connections. Servers must trust it
    again, unless they trust the CA that issued it. The old one is kept.

    \b
    Example:
      nexus certs renew server
      nexus certs renew --due 30d
      nexus certs renew
    """
    if sum([bool(name), every, due is not None]) > 1:
        raise click.UsageError("Give one of NAME, --all and --due.")
    home = load_settings().home
    if not name and not every and due is None:
        name = certs_ca.own_name(home)
        if not name:
            return _renew_own()
    names = [name] if name else certs_ca.names(home) if due is None else certs_ca.due(home, due)
    for made in certs_ca.renew(home, names):
        answer(issued_text(issued_document(made)))
    if not names:
        answer("nothing to renew")
    return Exit.OK


def _renew_own() -> int:
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
