"""Options of `nexus apply`: the time to confirm, the CI run, resuming."""

from __future__ import annotations

import click

from nexus_cli.cli.options import F, seconds
from nexus_cli.project.ci_run import PAGE

RESUME = "Continue a deployment that did not come to its end. Default: the newest."
_parsed = seconds("10s", "7d")


def confirm_within_option(function: F) -> F:
    """`--confirm-within DURATION`; arrives as `confirm_within_s`, 0 without it."""
    return click.option(
        "--confirm-within",
        "confirm_within_s",
        default="",
        metavar="DURATION",
        callback=_seconds,
        help="Control takes it back unless `nexus confirm` comes so long after its end (10s to 7d).",
    )(function)


def run_url_option(function: F) -> F:
    """`--run-url URL`."""
    return click.option(
        "--run-url",
        default="",
        metavar="URL",
        callback=_page,
        help="Page of the CI run, for the history. Default: what GitHub Actions or GitLab CI says.",
    )(function)


def _seconds(context: click.Context, parameter: click.Parameter, value: str) -> int:
    return _parsed(context, parameter, value) if value else 0


def _page(_context: click.Context, parameter: click.Parameter, value: str) -> str:
    if value and not PAGE.fullmatch(value):
        raise click.BadParameter(f"'{value}' is not an http or https address", param=parameter)
    return value
