"""The page of a CI run."""

from __future__ import annotations

import pytest

from nexus_cli.project.ci_run import run_page

GITHUB = {"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "acme/plant", "GITHUB_RUN_ID": "7"}


@pytest.mark.parametrize(
    ("environ", "page"),
    [
        (GITHUB, "https://github.com/acme/plant/actions/runs/7"),
        ({"CI_JOB_URL": "https://gitlab.example/a/b/-/jobs/9"}, "https://gitlab.example/a/b/-/jobs/9"),
        ({**GITHUB, "GITHUB_RUN_ID": ""}, ""),
        ({"CI_JOB_URL": "javascript:alert(1)"}, ""),
        ({"CI_JOB_URL": "https://a b"}, ""),
        ({}, ""),
    ],
)
def test_page(environ: dict[str, str], page: str) -> None:
    assert run_page(environ) == page
