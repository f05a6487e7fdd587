"""A plan or drift as the Markdown of the CI run that this process is part of."""

from __future__ import annotations

import os

from nexus_cli.cli.views.drift_markdown import drift_markdown
from nexus_cli.cli.views.markdown import MOST_CHARACTERS, MOST_OF_GITLAB
from nexus_cli.cli.views.plan_markdown import plan_markdown
from nexus_cli.plan.document import PlanDocument
from nexus_cli.project.ci_run import run_page, takes_long_comments
from nexus_cli.wire.control_drift import DriftReport


def plan_comment(plan: PlanDocument) -> str:
    """With the run's page at its foot, as long as the forge takes it; without a newline at its end."""
    return plan_markdown(plan, page=run_page(os.environ), most=_most()).rstrip("\n")


def drift_comment(report: DriftReport) -> str:
    """The same for drift."""
    return drift_markdown(report, page=run_page(os.environ), most=_most()).rstrip("\n")


def _most() -> int:
    return MOST_OF_GITLAB if takes_long_comments(os.environ) else MOST_CHARACTERS
