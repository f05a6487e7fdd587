"""`nexus approve`: sign what a plan does."""

from __future__ import annotations

import click

from nexus_cli.cli.console import answer_json, note
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import color_option
from nexus_cli.exit_codes import Exit
from nexus_cli.project.approve import (
    EFFECT,
    Approvable,
    approval_document,
    approve,
    of_planfile,
    signer_from,
    write_approval,
)
from nexus_cli.settings import load_settings

EPILOG = (
    "\b\nExamples:\n  nexus approve monday.plan --key ann.pem\n"
    "  nexus approve --effect sha256:… --site acme/chicago --key ann.pem\n\n" + help_text(Exit.OK, Exit.FINDINGS)
)


@click.command("approve", epilog=EPILOG)
@click.argument("plan", required=False, metavar="[FILE]", type=click.Path(dir_okay=False))
@click.option("--effect", default="", metavar="DIGEST", help="Approve this effect instead of a saved plan.")
@click.option("--site", default="", metavar="ENTERPRISE/SITE", help="With --effect: of which site. [env: NEXUS_SITE]")
@click.option("--key", required=True, type=click.Path(), help="Ed25519 private key: PEM, or NAME:ed25519:BASE64.")
@click.option("--as", "name", default="", help="Name of the key in `approvals.keys` (default: of the file).")
@click.option("--who", default="", help="Who signs, for the audit trail.")
@click.option("--expires", default="7d", show_default=True, help="How long it is valid, 90d at most.")
@click.option("--out", help="Where to write it; - is stdout. Default: FILE.NAME.approval.json.")
@color_option
def command(
    plan: str | None, effect: str, site: str, key: str, name: str, who: str, expires: str, out: str | None
) -> int:
    """Sign what a saved plan does, or an effect digest that `nexus plan` shows.

    Look at the plan first: `nexus show FILE`. Control counts the approval when its key is on record in `approvals`.
    """
    if (plan is None) == (not effect):
        raise click.UsageError("Name a saved plan, or an effect with --effect.")
    if plan is not None:
        about = of_planfile(plan)
    else:
        if not EFFECT.match(effect):
            raise click.UsageError(f"'{effect[:100]}' is not an effect: it is sha256: and 64 hex digits.")
        about = Approvable(site=site or load_settings().site, effect=effect)
        if about.site.count("/") != 1:
            raise click.UsageError("--site names the site of the effect: enterprise/site")
    signer = signer_from(key, name=name)
    approval = approve(about, signer, expires=expires, who=who)
    target = out or f"{plan or 'effect'}.{signer.name}.approval.json"
    if target == "-":
        answer_json(approval_document(approval))
        return Exit.OK
    write_approval(target, approval)
    note(f"approved as {signer.name} for {expires}: {about.effect}")
    note(f"written to {target}: `nexus apply … --approval {target}`")
    return Exit.OK
