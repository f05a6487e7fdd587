"""Options and arguments that several commands share."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import UTC, tzinfo
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from nexus_cli.cli.completing import environments
from nexus_cli.cli.console import note
from nexus_cli.model.spelling import SpellingError, parse_duration
from nexus_cli.project.copied import notice_of_copy, notice_of_other_folder, refuse_copy
from nexus_cli.settings import look_from

EFFECT = re.compile(r"sha256:[0-9a-f]{64}")
F = TypeVar("F", bound=Callable[..., Any])


class WholeNumber(click.IntRange):
    """A whole number within bounds; what is none is refused in words."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number. Raises click.BadParameter."""
        try:
            int(value)
        except (ValueError, TypeError):
            self.fail(f"{value!r} is not a whole number.", param, ctx)
        return super().convert(value, param, ctx)


def site_argument(function: F) -> F:
    """PATH of a site file or its folder; None means `./site.yaml` or the only `sites/*/site.yaml`."""
    return click.argument("path", required=False, type=click.Path(), metavar="[SITE]", callback=_near)(function)


def env_option(function: F) -> F:
    """`--env NAME`."""
    return click.option(
        "--env",
        metavar="NAME",
        help="Apply the overlay env/NAME.yaml. [env: NEXUS_ENV]",
        envvar="NEXUS_ENV",
        shell_complete=environments,
    )(function)


def var_option(function: F) -> F:
    """`--var NAME=VALUE`, repeatable; arrives as a dict."""
    return click.option(
        "--var",
        "variables",
        multiple=True,
        metavar="NAME=VALUE",
        callback=pairs,
        help="Replace a variable of the site. Repeatable.",
    )(function)


def format_option(*choices: str) -> Callable[[F], F]:
    """`--format`, with the first choice as default."""
    return click.option(
        "--format",
        "format_",
        type=click.Choice(choices),
        default=choices[0],
        show_default=True,
        help="Output format.",
    )


def no_cache_option(function: F) -> F:
    """`--no-cache`; arrives as `use_cache`."""
    return click.option(
        "--no-cache",
        "use_cache",
        flag_value=False,
        default=True,
        help="Read everything; neither use nor keep what an earlier run found out.",
    )(function)


def color_option(function: F) -> F:
    """`--color`, also behind the command's name."""
    return click.option(
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        expose_value=False,
        callback=_colour,
        help="Colour the output (NO_COLOR is honoured).",
    )(function)


def web_option(function: F) -> F:
    """`--web URL`: the role web, where it is not the one of this folder."""
    return click.option(
        "--web", default="", envvar="NEXUS_WEB_URL", metavar="URL", help="The role web. [env: NEXUS_WEB_URL]"
    )(function)


def utc_option(function: F) -> F:
    """`--utc`: times are read and shown in UTC; arrives as `zone`, None for this machine's clock."""
    return click.option(
        "--utc", "zone", is_flag=True, callback=_zone, help="Read and show times in UTC instead of local time."
    )(function)


def changes_runtime(address: str) -> Callable[[F], F]:
    """The command changes something in the runtime of this folder: in a copy of a folder that runs it is refused.

    Args:
        address: The variable that names the server by hand, such as `NEXUS_CONTROL_URL`.
    """
    return _of_runtime(address, changes=True)


def reads_runtime(address: str) -> Callable[[F], F]:
    """The command shows something of the runtime of this folder: in a copy of a folder that runs it says which one it is.

    Args:
        address: As for `changes_runtime`; "" where no variable leads elsewhere.
    """
    return _of_runtime(address, changes=False)


def _of_runtime(address: str, *, changes: bool) -> Callable[[F], F]:
    def mark(function: F) -> F:
        @wraps(function)
        def checked(*given: Any, **named: Any) -> Any:
            if changes:
                refuse_copy(address)
            elif notice := notice_of_copy(address):
                note(notice)
            if notice := notice_of_other_folder(address):
                note(notice)
            return function(*given, **named)

        checked.of_runtime = address  # type: ignore[attr-defined]
        return cast("F", checked)

    return mark


def _zone(_context: click.Context, _parameter: click.Parameter, value: bool) -> tzinfo | None:
    return UTC if value else None


def pairs(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """`NAME=VALUE` of a repeatable option, as a dict."""
    found: dict[str, str] = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise click.BadParameter(f"'{text}' is not NAME=VALUE")
        if name.strip() in found:
            raise click.BadParameter(f"'{name.strip()}' is given twice")
        found[name.strip()] = value
    return found


def _near(context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """The runtime of a site is looked for from its folder upwards."""
    if value:
        given = Path(value)
        token = look_from.set(given if given.is_dir() else given.parent)
        context.call_on_close(lambda: look_from.reset(token))
    return value


def _colour(_context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        os.environ["NEXUS_COLOR"] = value


def seconds(lowest: str, highest: str) -> Callable[[click.Context, click.Parameter, str], int]:
    """`30m`, `8h`, `90d` as seconds, both limits included; the limits are control's."""
    low_ms, high_ms = parse_duration(lowest), parse_duration(highest)

    def parsed(_context: click.Context, parameter: click.Parameter, value: str) -> int:
        try:
            milliseconds = parse_duration(value)
        except (SpellingError, ValueError):
            raise click.BadParameter(f"'{value}' is not a duration such as 30m, 8h or 90d", param=parameter) from None
        if not low_ms <= milliseconds <= high_ms:
            raise click.BadParameter(f"'{value}' is not from {lowest} to {highest}", param=parameter)
        return milliseconds // 1000

    return parsed


def effect_digest(_context: click.Context, parameter: click.Parameter, value: str) -> str:
    """The digest of a plan's effect, or "" for none; what can be none is refused before anything is asked."""
    if value and not EFFECT.fullmatch(value):
        raise click.BadParameter(
            f"'{value}' is no effect: sha256: and 64 hexadecimal digits, as `nexus plan` prints it", param=parameter
        )
    return value


def at_option(function: F) -> F:
    """`--at MOMENT`."""
    return click.option(
        "--at",
        default="",
        metavar="MOMENT",
        help="The rights of this moment: 06:00, ISO 8601, or any (periods and hours left out). Default: now.",
    )(function)
