"""`nexus explain`: a finding's page, or the chain of a tag."""

from __future__ import annotations

import re
import sys
import time
from dataclasses import asdict, replace

import click
import orjson

from nexus_cli.cli.completing import tag_paths
from nexus_cli.cli.console import answer, answer_bytes, answer_json, colour_wanted, columns, style
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import color_option, env_option, format_option, var_option
from nexus_cli.cli.views.explain import chain_document, chain_text, page_text
from nexus_cli.cli.views.findings import document, text
from nexus_cli.diagnostics.codes import catalogue
from nexus_cli.diagnostics.codes.page import page
from nexus_cli.diagnostics.suggest import nearest
from nexus_cli.exit_codes import Exit
from nexus_cli.project.explain import explain_path, lineage_of
from nexus_cli.project.explain_now import step_now

EPILOG = (
    "\b\nExamples:\n  nexus explain NX0012\n  nexus explain bottling/line-1/filler/temperature --site sites/demo\n"
    "  nexus explain bottling/line-1/filler/temperature --lineage\n\n" + help_text(Exit.OK, Exit.FINDINGS)
)

BAND = len("NX0")
"""What the codes of one band have in common; one of another band is about something else."""


@click.command("explain", epilog=EPILOG)
@click.argument("subject", metavar="CODE|PATH|MESSAGE", shell_complete=tag_paths)
@click.option("--site", "site", type=click.Path(), help="The site file or its folder, for a PATH.")
@click.option(
    "--lineage", is_flag=True, help="Of a PATH: where it comes from and who takes it, as OpenLineage events in JSON."
)
@env_option
@var_option
@format_option("text", "json")
@color_option
def command(
    subject: str, site: str | None, lineage: bool, env: str | None, variables: dict[str, str], format_: str
) -> int:
    """Explain a finding's CODE, the processing of the tag at PATH from file to database row, or a MESSAGE's topic
    and who may publish it."""
    colour = colour_wanted(sys.stdout)

    def paint(text: str, name: str) -> str:
        return style(text, name, enabled=colour)

    if re.fullmatch(r"[Nn][Xx]\w*", subject) and "/" not in subject:
        return _code(subject.upper(), format_, paint)

    if lineage:
        events = lineage_of(subject, site=site, env=env, variables=variables, now_us=time.time_ns() // 1000)
        if events.value is None:
            problem = document(events.findings, events.files)
            answer(text(problem, style=paint)) if format_ == "text" else answer_bytes(orjson.dumps(problem))
            return Exit.FINDINGS
        answer_json(events.value)
        return Exit.OK
    outcome = explain_path(subject, site=site, env=env, variables=variables)
    if outcome.value is None:
        problem = document(outcome.findings, outcome.files)
        answer(text(problem, style=paint)) if format_ == "text" else answer_bytes(orjson.dumps(problem))
        return Exit.FINDINGS
    chain = outcome.value
    now = step_now(chain)
    result = chain_document(chain if now is None else replace(chain, steps=(*chain.steps, now)))
    if format_ == "json":
        answer_json(result)
    else:
        answer(chain_text(result, style=paint, columns=columns(sys.stdout)))
    return Exit.OK


def _code(code: str, format_: str, paint: object) -> int:
    known = catalogue().get(code)
    if known is None:
        near = nearest(code, [one for one in catalogue() if one[:BAND] == code[:BAND]])
        raise click.UsageError(f"There is no code '{code}'." + (f" Did you mean '{near}'?" if near else ""))
    if format_ == "json":
        answer_json(asdict(known))
    else:
        assert callable(paint)
        answer(page_text(page(known), style=paint))
    return Exit.OK
