"""The one comment of a pull or merge request: found by its first line, updated in place. GitHub's and GitLab's REST APIs.

Source: GitHub REST API 2022-11-28, "Issue comments"; GitLab REST API v4, "Notes".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from nexus_cli.diagnostics.errors import NexusError

TIMEOUT_S = 30.0
PAGE = 100
MOST_PAGES = 50
"""Comments beyond 5,000 are not looked through; a second comment is the smaller harm."""
REFUSED = (401, 403, 404)
"""GitHub answers 404 where a token may not even know that something is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A pull request of GitHub, or a merge request of GitLab.

    Attributes:
        kind: `github` or `gitlab`.
        api: Address of the REST API, without a slash at its end.
        project: `owner/name`, or GitLab's number of the project.
        number: The request's number in the project.
        token: Of who writes.
        most: Characters of the longest comment.
    """

    kind: str
    api: str
    project: str
    number: int
    token: str
    most: int

    @property
    def comments(self) -> str:
        """Where its comments are listed and created."""
        if self.kind == "github":
            return f"{self.api}/repos/{self.project}/issues/{self.number}/comments"
        return f"{self.api}/projects/{self.project}/merge_requests/{self.number}/notes"

    def comment(self, comment_id: int) -> str:
        """Where one of them is changed."""
        if self.kind == "github":
            return f"{self.api}/repos/{self.project}/issues/comments/{comment_id}"
        return f"{self.comments}/{comment_id}"

    @property
    def headers(self) -> dict[str, str]:
        """What every call carries."""
        if self.kind == "github":
            return {"Authorization": f"Bearer {self.token}", "X-GitHub-Api-Version": "2022-11-28"}
        return {"PRIVATE-TOKEN": self.token}


def request_of(environment: Mapping[str, str]) -> Request | None:
    """The request that a CI job runs for, from the variables that GitHub and GitLab set; None outside of one."""
    if environment.get("GITHUB_REPOSITORY"):
        number = _github_number(environment)
        return (
            None
            if number is None
            else Request(
                kind="github",
                api=environment.get("GITHUB_API_URL", "https://api.github.com").rstrip("/"),
                project=environment["GITHUB_REPOSITORY"],
                number=number,
                token=environment.get("GITHUB_TOKEN") or environment.get("GH_TOKEN", ""),
                most=65_536,
            )
        )
    iid = environment.get("CI_MERGE_REQUEST_IID", "")
    if environment.get("CI_API_V4_URL") and iid.isdecimal():
        return Request(
            kind="gitlab",
            api=environment["CI_API_V4_URL"].rstrip("/"),
            project=environment.get("CI_PROJECT_ID", ""),
            number=int(iid),
            token=environment.get("GITLAB_TOKEN", ""),
            most=1_000_000,
        )
    return None


def _github_number(environment: Mapping[str, str]) -> int | None:
    """From the event that started the job (`workflow_run` and `pull_request_target` have it too), else from the ref."""
    path = environment.get("GITHUB_EVENT_PATH", "")
    if path and Path(path).is_file():
        try:
            event = json.loads(Path(path).read_text(encoding="utf-8"))
        except ValueError:
            event = {}
        found = event.get("pull_request") or event.get("issue") or {} if isinstance(event, dict) else {}
        if isinstance(found.get("number"), int):
            return int(found["number"])
    match = re.fullmatch(r"refs/pull/(\d+)/(?:merge|head)", environment.get("GITHUB_REF", ""))
    return int(match[1]) if match else None


def put_comment(request: Request, text: str, *, marker: str) -> bool:
    """Update the comment that begins with a marker and is ours, or write a new one. True when it is new.

    Ours is what the token's own account wrote; a token of a job, which has no account to ask for, takes what a bot wrote.
    A comment of another account that begins in the same way is left alone.

    Raises:
        NexusError: NX5052, the forge refuses (exit code 1); NX5053, it can't be reached or fails.
    """
    try:
        with httpx.Client(timeout=TIMEOUT_S, headers=request.headers, follow_redirects=False) as client:
            account = _account(client, request)
            known = next((each for each in _comments(client, request) if _is_ours(each, marker, account)), None)
            if known is not None and str(known.get("body", "")).replace("\r\n", "\n") == text:
                return False
            if known is None:
                _checked(client.post(request.comments, json={"body": text}))
            elif request.kind == "github":
                _checked(client.patch(request.comment(int(known["id"])), json={"body": text}))
            else:
                _checked(client.put(request.comment(int(known["id"])), json={"body": text}))
            return known is None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError) as error:
        raise NexusError(
            f"{request.api} can't be used.", code="NX5053", cause=type(error).__name__, retriable=True
        ) from None


def _account(client: httpx.Client, request: Request) -> int | None:
    """Number of the token's account; None where it has none."""
    answer = client.get(f"{request.api}/user")
    return int(answer.json()["id"]) if answer.is_success else None


def _comments(client: httpx.Client, request: Request) -> Iterator[Mapping[str, Any]]:
    for page in range(1, MOST_PAGES + 1):
        found = _checked(client.get(request.comments, params={"per_page": PAGE, "page": page})).json()
        yield from found
        if len(found) < PAGE:
            return


def _is_ours(comment: Mapping[str, Any], marker: str, account: int | None) -> bool:
    if not str(comment.get("body") or "").lstrip("\ufeff").startswith(marker):
        return False
    author = comment.get("user") or comment.get("author") or {}
    return author.get("type") == "Bot" if account is None else author.get("id") == account


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.status_code in REFUSED:
        raise NexusError(
            f"The comment was refused ({answer.status_code}).",
            code="NX5052",
            cause=str(answer.request.url.copy_with(query=None)),
        )
    answer.raise_for_status()
    return answer
