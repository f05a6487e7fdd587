"""`nexus access`: who may do what, and the files that say so to a broker."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from importlib import import_module
from typing import Any, TypeVar

import click

from nexus_cli.access.lines import Right
from nexus_cli.access.subjects import ACTIONS
from nexus_cli.cli.changing import complain, styler
from nexus_cli.cli.commands.access_render import render
from nexus_cli.cli.commands.access_tokens import elevate, rotate, token, tokens
from nexus_cli.cli.completing import access_actions, access_subjects, principals
from nexus_cli.cli.console import answer, answer_json, note
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import (
    WholeNumber,
    at_option,
    color_option,
    env_option,
    format_option,
    reads_runtime,
    site_argument,
    var_option,
)
from nexus_cli.cli.views import access as view
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.exit_codes import Exit
from nexus_cli.project import access as project
from nexus_cli.project.access_check import doubts, of_broker, of_validate
from nexus_cli.project.access_remote import without_password
from nexus_cli.project.access_render import render as render_files
from nexus_cli.project.text import Sourced
from nexus_cli.settings import load_settings

T = TypeVar("T")
ANSWERS = "\b\nExit codes:\n  0  yes\n  1  no; or errors in your files, or there is no such user or tag"
FOUND = help_text(Exit.OK, Exit.FINDINGS)


def site_option(function: Any) -> Any:
    """`--site`, for commands whose arguments are about something else."""
    return click.option("--site", "path", type=click.Path(), help="The site file or its folder.")(function)


@click.group("access", short_help="Show who may do what; write a broker's rules.")
def command() -> None:
    """Who may do what, from the site file: answers with the line that decides, and rules for brokers.

    \b
    Examples:
      nexus access list
      nexus access who-can write packaging/line-1/filler/setpoint
      nexus access can packaging-desk read 'packaging/**'
      nexus access render --broker mosquitto --out /etc/mosquitto/nexus
    """


def right_of(action: str) -> Right:
    """The right that a word on the command line means; another word is a usage error with the nearest one."""
    if action.lower() in ACTIONS:
        return ACTIONS[action.lower()]
    hint = did_you_mean(action.lower(), ACTIONS) or f"known here: {', '.join(ACTIONS)}"
    raise click.UsageError(f"'{action}' is not an action: {hint}")


def told(outcome: Sourced[T]) -> T:
    """The value; without one the findings are shown, and the command ends with 1."""
    if outcome.value is None:
        complain(outcome.findings, outcome.files)
        raise click.exceptions.Exit(Exit.FINDINGS)
    return outcome.value


def opened(path: str | None, env: str | None, variables: dict[str, str], at: str = "") -> project.Rights:
    """The rights of a site, or the end of the command."""
    return told(project.open_rights(path, env=env, variables=variables, at=at))


def say(document: Any, text: str, format_: str) -> None:
    """One answer in the form that was asked for."""
    answer_json(document) if format_ == "json" else answer(text)


@command.command(
    "list", epilog="\b\nExamples:\n  nexus access list\n  nexus access list sites/demo --roles\n\n" + FOUND
)
@site_argument
@env_option
@var_option
@at_option
@click.option("--roles", is_flag=True, help="List roles with what they give instead.")
@format_option("text", "json")
@color_option
def list_(path: str | None, env: str | None, variables: dict[str, str], at: str, roles: bool, format_: str) -> int:
    """List users, applications and NEXUS's own principals: roles, validity, what they may, number of broker rules."""
    rights = opened(path, env, variables, at)
    style = styler(sys.stdout)
    if roles:
        document = view.roles_document(rights)
        say(document, view.roles_text(document, style=style), format_)
    else:
        document = view.list_document(rights)
        say(document, view.list_text(document, style=style), format_)
    return Exit.OK


@command.command(
    "who-can",
    epilog="\b\nExamples:\n  nexus access who-can write packaging/line-1/filler/setpoint\n"
    "  nexus access who-can alerts:ack filler-too-hot\n  nexus access who-can subscribe 'erp/orders/#' --format json\n\n"
    + FOUND,
)
@click.argument("action", shell_complete=access_actions)
@click.argument("about", metavar="[PATH]", default="", shell_complete=access_subjects)
@site_option
@env_option
@var_option
@at_option
@format_option("text", "json")
@color_option
def who_can(
    action: str, about: str, path: str | None, env: str | None, variables: dict[str, str], at: str, format_: str
) -> int:
    """List who may do ACTION on PATH, with the line of the site file that decides.

    ACTION: read, write, publish, subscribe, run, acknowledge (or alerts:ack), alerts, apply, admin. PATH: a tag, a path
    glob, the name of a message, sequence or alert, or a topic. Also lists who is refused although a role would give it.
    """
    right = right_of(action)
    _needs(right, about, "who-can")
    rights = opened(path, env, variables, at)
    subject = told(project.subject(rights, right, about))
    found = project.who_can(rights, right, subject)
    document = view.answers_document(rights, found, action=right, about=subject.text)
    say(document, view.who_text(document, style=styler(sys.stdout)), format_)
    return Exit.OK


@command.command(
    "can",
    epilog="\b\nExamples:\n  nexus access can packaging-desk write packaging/line-1/filler/setpoint\n"
    "  nexus access can mes publish erp/orders/line-1 --qos 1\n  nexus access can ann run warm-up --at 03:00\n\n"
    + ANSWERS,
)
@click.argument("user", shell_complete=principals)
@click.argument("action", shell_complete=access_actions)
@click.argument("about", metavar="[TOPIC|PATH]", default="", shell_complete=access_subjects)
@click.option("--qos", type=WholeNumber(0, 2), default=0, show_default=True, help="Quality of service of the message.")
@click.option("--retain", is_flag=True, help="The message is to be retained.")
@site_option
@env_option
@var_option
@at_option
@format_option("text", "json")
@color_option
def can(
    user: str,
    action: str,
    about: str,
    qos: int,
    retain: bool,
    path: str | None,
    env: str | None,
    variables: dict[str, str],
    at: str,
    format_: str,
) -> int:
    """Say whether USER may do ACTION on a topic, path or name, and which line decides. Exits with 0 for yes, 1 for no.

    Of a glob all of it is asked: one tag that USER may not read is a no.
    """
    right = right_of(action)
    _needs(right, about, f"can {user}")
    rights = opened(path, env, variables, at)
    who = told(project.holder(rights, user))
    subject = told(project.subject(rights, right, about))
    found = project.ask(rights.book, who, right, subject, qos=qos, retain=retain)
    document = view.answers_document(rights, found, action=right, about=subject.text)
    yes = all(each.allowed for each in found)
    document["allowed"] = yes
    say(document, view.can_text(document, style=styler(sys.stdout)), format_)
    return Exit.OK if yes else Exit.FINDINGS


def _needs(right: Right, about: str, question: str) -> None:
    if right != "admin" and not about.strip():
        what, name = ("a tag path", "PATH") if right in ("read", "write", "apply") else ("a name", "NAME")
        raise click.UsageError(f"'{right}' needs {what}: nexus access {question} {right} {name}")


@command.command(
    "explain",
    epilog="\b\nExamples:\n  nexus access explain packaging-desk\n  nexus access explain nexus.historian\n\n" + FOUND,
)
@click.argument("user", shell_complete=principals)
@site_option
@env_option
@var_option
@at_option
@format_option("text", "json")
@color_option
def explain(user: str, path: str | None, env: str | None, variables: dict[str, str], at: str, format_: str) -> int:
    """Show the chain of USER: groups, roles, their lines, what each means in tags, and the rules at the broker."""
    rights = opened(path, env, variables, at)
    who = told(project.holder(rights, user))
    document = view.chain_document(rights, project.explain(rights, who))
    say(document, view.chain_text(document, style=styler(sys.stdout)), format_)
    return Exit.OK


@command.command(
    "diff",
    epilog="\b\nExamples:\n  nexus access diff\n  nexus access diff sites/demo --from ../released/site.yaml\n"
    "  nexus access diff --env prod --from site.yaml --detailed-exitcode\n\n"
    + help_text(Exit.OK, Exit.FINDINGS, Exit.CHANGES, Exit.OUTSIDE),
)
@site_argument
@env_option
@var_option
@click.option("--from", "before", type=click.Path(), help="Compare with this site file instead of what is recorded.")
@click.option("--from-env", metavar="NAME", help="Overlay of the file to compare with.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when a principal gains or loses a right.")
@format_option("text", "json")
@color_option
@reads_runtime("NEXUS_CONTROL_URL")
def diff(
    path: str | None,
    env: str | None,
    variables: dict[str, str],
    before: str | None,
    from_env: str | None,
    detailed_exitcode: bool,
    format_: str,
) -> int:
    """Show who gains and who loses which rights: the site file against what is recorded, or against another file."""
    rights = opened(path, env, variables, "any")
    after = rights.book.snapshot
    if before is not None or from_env is not None:
        start = told(project.declared(before or path, env=from_env, variables=variables))
        found = project.gains(start, after)
    else:
        found = project.against_recorded(after, load_settings())
    document = view.gains_document(rights.site, found)
    say(document, view.gains_text(document, style=styler(sys.stdout)), format_)
    return Exit.CHANGES if detailed_exitcode and found else Exit.OK


@command.command(
    "check",
    epilog="\b\nExamples:\n  nexus access check\n  nexus access check sites/demo --broker mosquitto --strict\n\n"
    + FOUND,
)
@site_argument
@env_option
@var_option
@click.option(
    "--broker", "brokers", multiple=True, metavar="NAME", help="Also what this broker's rules can't say. Repeatable."
)
@click.option("--strict", is_flag=True, help="Exit with 1 when there is anything to report.")
@color_option
@reads_runtime("NEXUS_CONTROL_URL")
def check(path: str | None, env: str | None, variables: dict[str, str], brokers: tuple[str, ...], strict: bool) -> int:
    """Warn of lines without effect, roles that no user has, users without a password, and rights that end soon."""
    outcome = project.open_rights(path, env=env, variables=variables, at="any")
    rights = told(outcome)
    settings = load_settings()
    missing = without_password(settings)
    found = [*of_validate(outcome.findings), *doubts(rights, now=datetime.now(UTC), without_password=missing or ())]
    for name in brokers:
        made = render_files(rights.book, name=name, home=settings.home, shared=True)
        found += of_broker(made.made.notes)
    complain(found, outcome.files)
    if missing is None:
        note("control does not answer: who has a password was not looked at")
    if not found:
        answer(f"{rights.site}: nothing to report")
    return Exit.FINDINGS if strict and found else Exit.OK


def _push() -> None:
    """`push`, where this build has it."""
    try:
        module = import_module("nexus_cli.cli.commands.access_push")
    except ModuleNotFoundError as error:
        if error.name != "nexus_cli.cli.commands.access_push":
            raise
        return
    command.add_command(module.command, "push")


for each in (render, token, tokens, elevate, rotate):
    command.add_command(each)
_push()
