"""The page of the CI run that this process is part of, as GitHub Actions and GitLab CI say it."""

from __future__ import annotations

import re
from collections.abc import Mapping

PAGE = re.compile(r"https?://[^\x00-\x20]{1,990}")


def run_page(environ: Mapping[str, str]) -> str:
    """The address of the run's page; "" outside of CI, or where what CI says is no address.

    Source: GitHub Actions, "Variables reference" (GITHUB_*); GitLab CI, "Predefined CI/CD variables" (CI_JOB_URL).
    """
    server, repository, run = (environ.get(f"GITHUB_{name}", "") for name in ("SERVER_URL", "REPOSITORY", "RUN_ID"))
    page = (
        f"{server}/{repository}/actions/runs/{run}" if server and repository and run else environ.get("CI_JOB_URL", "")
    )
    return page if PAGE.fullmatch(page) else ""


def takes_long_comments(environ: Mapping[str, str]) -> bool:
    """Whether what this process writes becomes a note of GitLab, which takes 1,000,000 characters; GitHub takes 65,536."""
    return environ.get("GITLAB_CI") == "true"
