"""Codes of comments on pull and merge requests (NX5050 to NX5059)."""

from __future__ import annotations

from nexus_cli.diagnostics.codes.code import Code, console, text
from nexus_cli.exit_codes import Exit

CODES: tuple[Code, ...] = (
    Code(
        id="NX5050",
        slug="no-pull-request",
        exit=Exit.FINDINGS,
        summary="A job that runs for no pull or merge request has nothing to comment on.",
        why="GitHub names it in GITHUB_EVENT_PATH or GITHUB_REF, GitLab in CI_MERGE_REQUEST_IID.",
        bad=console("nexus comment plan.md   # in a job of a push"),
        good=text("on: pull_request; with GitLab, rules: [{if: $CI_PIPELINE_SOURCE == 'merge_request_event'}]"),
        hint="run it in a job of a pull or merge request",
    ),
    Code(
        id="NX5051",
        slug="comment-without-key",
        exit=Exit.FINDINGS,
        summary="A text without the first line of a NEXUS comment needs a key.",
        why="By this line the same comment is found and updated, instead of a new one with each push.",
        bad=text("echo hello | nexus comment"),
        good=text("echo hello | nexus comment --key greeting"),
        hint="--key WORD names it",
    ),
    Code(
        id="NX5052",
        slug="comment-refused",
        exit=Exit.FINDINGS,
        summary="The forge does not let this job comment.",
        why="A job of a fork's pull request has a token that may only read.",
        bad=text("permissions: {contents: read}"),
        good=text("permissions: {contents: read, pull-requests: write}; for forks: nexus comment --or-summary"),
        hint="GitHub: permissions pull-requests: write, and GITHUB_TOKEN; GitLab: GITLAB_TOKEN with the scope api; for forks --or-summary",
    ),
    Code(
        id="NX5053",
        slug="forge-unreachable",
        exit=Exit.OUTSIDE,
        summary="The forge can't be reached, or does not answer as its API does.",
        why="The comment is as it was; the plan itself is not affected.",
        bad=text("the API's address leads to a proxy that wants a login"),
        good=text("run the job again"),
        hint="run the job again",
    ),
    Code(
        id="NX5054",
        slug="comment-too-long",
        exit=Exit.FINDINGS,
        summary="A comment is longer than the forge takes.",
        why="GitHub takes 65,536 characters, GitLab 1,000,000. `nexus plan --format markdown` keeps below it by itself.",
        bad=text("a whole log as a comment"),
        good=text("its end, and a link to the run"),
        hint="shorten it",
    ),
)
