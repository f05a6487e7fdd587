"""`nexus`: the literal table of commands, and the one error boundary."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from importlib import import_module

import click

from nexus_cli import __version__
from nexus_cli.cli.arguments import not_text
from nexus_cli.cli.streams import ReaderGone, let_go, open_closed
from nexus_cli.exit_codes import Exit

COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("nexus_cli.cli.commands.init:command", "Start a new site folder."),
    "validate": ("nexus_cli.cli.commands.validate:command", "Check a site file and everything it includes."),
    "test": ("nexus_cli.cli.commands.test:command", "Run the tests of a site: given device values, expected results."),
    "fmt": ("nexus_cli.cli.commands.fmt:command", "Format site files; comments are kept."),
    "schema": ("nexus_cli.cli.commands.schema:command", "Write the JSON Schemas."),
    "explain": (
        "nexus_cli.cli.commands.explain:command",
        "Explain a finding, or how a tag is processed.",
    ),
    "discover": ("nexus_cli.cli.commands.discover:command", "Turn what a device offers into site YAML."),
    "discoveries": ("nexus_cli.cli.commands.discoveries:command", "Show discoveries that the worker does."),
    "drift": ("nexus_cli.cli.commands.drift:command", "Compare files, record, gateways and devices."),
    "probe": ("nexus_cli.cli.commands.probe:command", "Find the register that holds a known value."),
    "find": ("nexus_cli.cli.commands.find:command", "Search areas, lines, devices and tags by words."),
    "plan": ("nexus_cli.cli.commands.plan:command", "Show what apply would change."),
    "approve": ("nexus_cli.cli.commands.approve:command", "Sign what a plan does."),
    "apply": ("nexus_cli.cli.commands.apply:command", "Make the runtime match the site file."),
    "comment": ("nexus_cli.cli.commands.comment:command", "Write a text as the comment of a pull request."),
    "confirm": ("nexus_cli.cli.commands.confirm:command", "Keep a deployment that waits to be confirmed."),
    "rollout": ("nexus_cli.cli.commands.rollout:command", "Deployments in waves: where they are, stop, take back."),
    "rollback": ("nexus_cli.cli.commands.rollback:command", "Take deployments back."),
    "deployments": ("nexus_cli.cli.commands.deployments:command", "Show who applied what, when, and the outcome."),
    "diff": ("nexus_cli.cli.commands.diff:command", "Compare deployments, files and git revisions."),
    "lock": ("nexus_cli.cli.commands.lock:command", "Show and break the lock of deployments."),
    "show": ("nexus_cli.cli.commands.show:command", "Show the recorded state, or a saved plan."),
    "up": ("nexus_cli.cli.commands.up:command", "Start the runtime on this machine."),
    "down": ("nexus_cli.cli.commands.down:command", "Stop the runtime on this machine."),
    "status": ("nexus_cli.cli.commands.status:command", "Show the state of the broker, database, roles and links."),
    "jobs": ("nexus_cli.cli.commands.jobs:command", "Show, retry and discard jobs."),
    "latency": ("nexus_cli.cli.commands.latency:command", "Show how long operations take."),
    "logs": ("nexus_cli.cli.commands.logs:command", "Show the logs of the runtime."),
    "run": ("nexus_cli.cli.commands.run:command", "Run one role in the foreground."),
    "tail": ("nexus_cli.cli.commands.tail:command", "Follow topics live."),
    "replay": ("nexus_cli.cli.commands.replay:command", "Play recorded messages under another site's name."),
    "read": ("nexus_cli.cli.commands.read:command", "Show the newest value of a tag."),
    "write": ("nexus_cli.cli.commands.write:command", "Write a value to a tag."),
    "sequence": ("nexus_cli.cli.commands.sequence:command", "Run a sequence of writes, or show its runs."),
    "publish": ("nexus_cli.cli.commands.publish:command", "Publish a declared message."),
    "device": ("nexus_cli.cli.commands.device:command", "Take a device out of service, and in again."),
    "adopt": ("nexus_cli.cli.commands.adopt:command", "Take broker rights and topics into a site file."),
    "keep": ("nexus_cli.cli.commands.keep:command", "Show the series that are never dropped, and end it."),
    "retained": ("nexus_cli.cli.commands.retained:command", "Show and clear retained topics without an owner."),
    "alarms": ("nexus_cli.cli.commands.alarms:command", "Show and answer alarms; key figures."),
    "audit": ("nexus_cli.cli.commands.audit:command", "Show who did what, and the outcome."),
    "history": ("nexus_cli.cli.commands.history:command", "Show stored values of a tag."),
    "export": ("nexus_cli.cli.commands.export:command", "Write stored values to a file."),
    "exports": ("nexus_cli.cli.commands.exports:command", "Show and fetch files that the worker writes."),
    "archive": ("nexus_cli.cli.commands.archive:command", "List, verify and restore archived days."),
    "purge": ("nexus_cli.cli.commands.purge:command", "Remove forgotten series and their samples."),
    "dead-letters": ("nexus_cli.cli.commands.dead_letters:command", "Show messages that could not be stored."),
    "access": ("nexus_cli.cli.commands.access:command", "Show who may do what; write a broker's rules."),
    "certs": ("nexus_cli.cli.commands.certs:command", "Manage the site's CA, TLS and OPC UA certificates."),
    "db": ("nexus_cli.cli.commands.db:command", "Manage the database schema."),
    "demo": ("nexus_cli.cli.commands.demo:command", "Start a small simulated plant."),
    "mcp": ("nexus_cli.cli.commands.mcp:command", "Serve the plant to an agent."),
    "sim": ("nexus_cli.cli.commands.sim:command", "Simulate a site's devices as protocol servers."),
}


MOST_OF_HELP = 1000
"""Characters; more than any first sentence has."""


def whole_sentences(command: click.Command) -> None:
    """Have a group list its commands with their whole first sentence; click cuts it at the end of the line."""
    for each in command.commands.values() if isinstance(command, click.Group) else ():
        each.short_help = each.short_help or each.get_short_help_str(limit=MOST_OF_HELP)
        whole_sentences(each)


class LazyGroup(click.Group):
    """Loads a command's module only when it is used, so that `nexus --help` imports click and nothing else."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module that holds the command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        loaded: click.Command = getattr(import_module(module), name)
        whole_sentences(loaded)
        return loaded

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with a suggestion for a misspelt command."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from nexus_cli.diagnostics.suggest import did_you_mean  # noqa: PLC0415 - only for a misspelt command

            hint = did_you_mean(args[0], COMMANDS)
            raise click.UsageError(
                f"No such command '{args[0]}'." + (f" D{hint[1:]}" if hint.startswith("did") else ""), ctx
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table of commands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="nexus")
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default=None,
    help="Colour the output (NO_COLOR is honoured).",
)
@click.option("--home", type=click.Path(file_okay=False), default=None, help="The .nexus folder. [env: NEXUS_HOME]")
def cli(color: str | None, home: str | None) -> None:
    """Terraform for a factory's data: one site file drives gateways, MQTT and a historian."""
    if color is not None:
        os.environ["NEXUS_COLOR"] = color
    if home is not None:
        os.environ["NEXUS_HOME"] = home


def _other_spelling(error: click.NoSuchOption) -> click.UsageError:
    """Suggest `--out` for `-o`, the other option that asks for JSON, and the argument that was written as an option.

    click's own guess knows only words.
    """
    word = error.option_name.lstrip("-")
    if error.ctx is None:
        return error
    parameters = error.ctx.command.params
    options = {name: each for each in parameters if isinstance(each, click.Option) for name in each.opts}
    if word == "json" and _takes_json(options.get("--format")):
        return click.UsageError(f"{error.message} Did you mean '--format json'?", error.ctx)
    if word == "format" and "--json" in options:
        return click.UsageError(f"{error.message} Did you mean '--json'?", error.ctx)
    for each in parameters:
        if isinstance(each, click.Argument) and word in _names_of(each):
            name = each.human_readable_name
            text = f"{error.message} {word.upper()} is an argument: {error.ctx.command_path} {name}"
            return click.UsageError(text, error.ctx)
    if error.possibilities or len(word) != 1:
        return error
    names = [name for name in options if name.startswith(f"--{word}")]
    quoted = " or ".join(f"'{name}'" for name in names)
    return click.UsageError(f"{error.message} Did you mean {quoted}?", error.ctx) if names else error


def _other_subcommand(error: click.UsageError) -> click.UsageError:
    """Name the nearest command of a group, or all of them when they are few.

    The message is looked at because the class of this error is younger than the oldest click that is taken.
    """
    missing = re.fullmatch(r"No such command '(.*)'\.", error.message)
    if missing is None or error.ctx is None or not isinstance(error.ctx.command, click.Group):
        return error
    from nexus_cli.diagnostics.suggest import did_you_mean  # noqa: PLC0415 - only for a misspelt command

    hint = did_you_mean(missing.group(1), error.ctx.command.commands)
    return click.UsageError(f"{error.message} {hint[:1].upper()}{hint[1:]}".rstrip(), error.ctx)


def _clearer(error: click.ClickException) -> click.ClickException:
    """The same error with what to type instead, where that can be said."""
    if isinstance(error, click.NoSuchOption):
        return _other_spelling(error)
    return _other_subcommand(error) if isinstance(error, click.UsageError) else error


def _takes_json(option: click.Option | None) -> bool:
    return option is not None and isinstance(option.type, click.Choice) and "json" in option.type.choices


def _names_of(argument: click.Argument) -> set[str]:
    """Words for an argument: `site` and `path` for `[SITE]` whose parameter is `path`."""
    words = re.findall(r"[a-z]+", argument.human_readable_name.lower())
    return {*words, str(argument.name)}


def _interrupted() -> None:
    with contextlib.suppress(OSError):
        click.echo("interrupted", err=True)


def main() -> None:
    """Run a command and turn every way it can end into an exit code."""
    open_closed()
    try:
        wrong = not_text(sys.argv[1:], os.environ)
        if wrong:
            raise click.UsageError(wrong)
        result = cli.main(standalone_mode=False, prog_name="nexus")
        code = int(result) if isinstance(result, int) else 0
    except click.exceptions.Abort:
        _interrupted()
        code = Exit.INTERRUPTED
    except click.exceptions.Exit as ended:
        code = ended.exit_code
    except click.ClickException as error:
        with contextlib.suppress(OSError):
            _clearer(error).show()
        code = Exit.USAGE
    except KeyboardInterrupt:
        _interrupted()
        code = Exit.INTERRUPTED
    except (BrokenPipeError, ReaderGone):  # how far the command came is not known
        code = Exit.CUT
    except Exception as error:  # noqa: BLE001 - the one boundary: a bug, or a failure outside
        from nexus_cli.cli.failure import report  # noqa: PLC0415 - only for a failure

        code = report(error)
    let_go()
    sys.exit(int(code))
