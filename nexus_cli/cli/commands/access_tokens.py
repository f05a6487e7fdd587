"""`nexus access token`, `tokens`, `elevate` and `rotate`: what opens a door for a while."""

from __future__ import annotations

import sys
from typing import Any

import click

from nexus_cli.cli.changing import agreed, complain, styler
from nexus_cli.cli.completing import principals
from nexus_cli.cli.console import answer, answer_json, note
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import (
    changes_runtime,
    color_option,
    env_option,
    format_option,
    reads_runtime,
    seconds,
    utc_option,
    var_option,
)
from nexus_cli.cli.views.access_tokens import elevation_text, made_text, rotated_document, rotated_text, tokens_text
from nexus_cli.exit_codes import Exit
from nexus_cli.project import access_remote as project
from nexus_cli.project.access import holder, open_rights
from nexus_cli.project.access_broker_token import broker_token
from nexus_cli.project.access_rotate import rotate as rotate_secrets
from nexus_cli.settings import load_settings
from nexus_cli.wire.control import as_object

CODES = help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE)


@click.command(
    "token",
    epilog="\b\nExamples:\n  nexus access token mes --ttl 90d --scope state:read --note 'MES, line 1'\n"
    "  NEXUS_EMQX_JWT_SECRET_FILE=emqx.secret nexus access token mes --for mqtt --ttl 1h\n\n" + CODES,
)
@click.argument("user", shell_complete=principals)
@click.option(
    "--ttl",
    "ttl_s",
    default="1h",
    show_default=True,
    callback=seconds("1m", "366d"),
    help="How long it is valid, at most 366d: 30m, 8h, 90d.",
)
@click.option(
    "--for",
    "purpose",
    type=click.Choice(["api", "mqtt"]),
    default="api",
    show_default=True,
    help="For control's API, or for EMQX (a JWT with the user's rules).",
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    default=("*",),
    help="What an API token may do at most. Repeatable. Default: all that the user may.",
)
@click.option("--note", "remark", default="", help="What an API token is for.")
@click.option(
    "--shared/--own",
    default=True,
    show_default=True,
    help="For mqtt: the account carries the site, as in `nexus access render`.",
)
@click.option("--site", "path", type=click.Path(), help="For mqtt: the site file or its folder.")
@env_option
@var_option
@changes_runtime("NEXUS_CONTROL_URL")
def token(
    user: str, ttl_s: int, purpose: str, scopes: tuple[str, ...], remark: str, shared: bool,
    path: str | None, env: str | None, variables: dict[str, str],
) -> int:  # fmt: skip
    """Make a token for USER, and print it alone on stdout. It is neither stored nor logged.

    --for mqtt signs with the secret in NEXUS_EMQX_JWT_SECRET, or in the file that NEXUS_EMQX_JWT_SECRET_FILE names (a PEM
    private key signs with RS256). The rules in it are those of the site file at this moment.
    """
    settings = load_settings()
    if purpose == "mqtt":
        outcome = open_rights(path, env=env, variables=variables)
        if outcome.value is None:
            complain(outcome.findings, outcome.files)
            return Exit.FINDINGS
        known = holder(outcome.value, user)
        if known.value is None:
            complain(known.findings)
            return Exit.FINDINGS
        answer(broker_token(outcome.value.book, user=user, ttl_s=ttl_s, shared=shared))
        return Exit.OK
    made = project.make_token(settings, user=user, scopes=scopes, ttl_s=ttl_s, note=remark)
    answer(made.token)
    note(made_text(made))
    return Exit.OK


@click.group("tokens")
def tokens() -> None:
    """List and revoke API tokens.

    \b
    Example:
      nexus access tokens list
    """


@tokens.command("list", epilog="\b\nExamples:\n  nexus access tokens list\n\n" + CODES)
@click.argument("user", default="", shell_complete=principals)
@utc_option
@format_option("text", "json")
@color_option
@reads_runtime("NEXUS_CONTROL_URL")
def tokens_list(user: str, zone: Any, format_: str) -> int:
    """List the tokens and logins of USER, or of all users: id, scopes, when they end, who made them. Never the token itself."""
    found = project.tokens(load_settings(), user=user)
    if format_ == "json":
        answer_json(found, default=as_object)
    else:
        answer(tokens_text(found, style=styler(sys.stdout), zone=zone))
    return Exit.OK


@tokens.command("revoke", epilog="\b\nExamples:\n  nexus access tokens revoke 01JEXAMPLE0000000000000000\n\n" + CODES)
@click.argument("token_id", metavar="ID")
@changes_runtime("NEXUS_CONTROL_URL")
def tokens_revoke(token_id: str) -> int:
    """Revoke the token or login with this ID: its next request is refused."""
    done = project.revoke_token(load_settings(), token_id)
    answer(f"{token_id} is revoked" if done else f"{token_id} had ended, or was revoked before")
    return Exit.OK


@click.command(
    "elevate",
    epilog="\b\nExamples:\n  nexus access elevate ann --for 30m --reason 'pump 3 does not stop'\n  nexus access elevate --list\n\n"
    + CODES,
)
@click.argument("user", default="", shell_complete=principals)
@click.option(
    "--for", "for_s", default="30m", show_default=True, callback=seconds("1m", "8h"), help="How long, at most 8h."
)
@click.option("--reason", default="", help="Why; it is in the audit trail.")
@click.option("--list", "listing", is_flag=True, help="Show who is elevated now, with ids.")
@click.option("--end", "ending", metavar="ID", default="", help="End the elevation with this id now.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")
@utc_option
@format_option("text", "json")
@color_option
@changes_runtime("NEXUS_CONTROL_URL")
def elevate(user: str, for_s: int, reason: str, listing: bool, ending: str, yes: bool, zone: Any, format_: str) -> int:
    """Break glass: give USER the role admin for a while, with a reason, audited. It ends by itself."""
    settings = load_settings()
    if ending:
        done = project.end_elevation(settings, ending)
        answer(f"{ending} is ended" if done else f"{ending} had ended before")
        return Exit.OK
    if listing:
        found = project.elevations(settings)
    elif not user or not reason.strip():
        raise click.UsageError("name the user and the reason: nexus access elevate USER --for 30m --reason '…'")
    else:
        if not yes and not agreed(f"Give {user} every right for {for_s // 60} minutes?"):
            return Exit.FINDINGS
        found = [project.elevate(settings, user=user, for_s=for_s, reason=reason)]
    if format_ == "json":
        answer_json(found, default=as_object)
    else:
        answer(elevation_text(found, style=styler(sys.stdout), zone=zone))
    return Exit.OK


@click.command(
    "rotate",
    epilog="\b\nExamples:\n  nexus access rotate packaging-desk\n  nexus access rotate --all --keep-old 24h --format json > passwords.json\n\n"
    + CODES,
)
@click.argument("names", nargs=-1, metavar="[PRINCIPAL]...", shell_complete=principals)
@click.option("--all", "everybody", is_flag=True, help="All users and applications, and NEXUS's own processes.")
@click.option(
    "--keep-old",
    "keep_old_s",
    default="24h",
    show_default=True,
    callback=seconds("0s", "7d"),
    help="How long the old password of a user stays valid, at most 7d; 0s ends it at once.",
)
@utc_option
@format_option("text", "json")
@changes_runtime("NEXUS_CONTROL_URL")
def rotate(names: tuple[str, ...], everybody: bool, keep_old_s: int, zone: Any, format_: str) -> int:
    """Make new passwords of users and applications, and show them this once; new secrets of NEXUS's own processes (nexus.…),
    which take them by themselves.

    A broker lets a user have one password. So that the old one stays valid for a while, the new one belongs to a second
    account with the same rights, NAME.b, and the next one to NAME again; the API takes NAME with either.
    """
    if bool(names) == everybody:
        raise click.UsageError("name who gets a new password, or --all: nexus access rotate PRINCIPAL")
    found = rotate_secrets(load_settings(), names=names, everybody=everybody, keep_old_s=keep_old_s)
    if format_ == "json":
        answer_json(rotated_document(found), default=as_object)
    else:
        answer(rotated_text(found, zone=zone))
    if found.waiting:
        note(f"not in force at the broker yet: {found.waiting}")
    return Exit.OK
