"""`nexus comment`: a text as the one comment of the pull or merge request that a CI job runs for."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.project.output_file import SUMMARY, append_summary
from nexus_cli.wire.forge import put_comment, request_of

_MARKER = re.compile(r"<!-- nexus [^\n]*? -->")


def marker_of(text: str, key: str) -> str:
    """The first line by which the comment is found again: of the text, or made of a key.

    Raises:
        NexusError: NX5051, there is neither.
    """
    if key:
        return f"<!-- nexus {' '.join(re.findall(r'[A-Za-z0-9._/-]+', key))} -->"
    found = _MARKER.match(text)
    if found is None:
        raise NexusError("The text does not say which comment it is.", code="NX5051")
    return found[0]


def comment(text: str, *, key: str = "", or_summary: bool = False, environment: Mapping[str, str] | None = None) -> str:
    """Write it, and say what was done: `written`, `updated` or `summary`.

    Args:
        text: Markdown.
        key: Which comment it is, where its first line does not say so.
        or_summary: Where the forge refuses (a fork's job has no right to comment), add it to the job's summary instead.
        environment: Variables of the job.

    Raises:
        NexusError: NX5050, no request; NX5051; NX5052 refused; NX5053 not reachable; NX5054 too long.
    """
    variables = os.environ if environment is None else environment
    marker = marker_of(text, key)
    whole = text if text.startswith(marker) else f"{marker}\n{text}"
    request = request_of(variables)
    if request is None:
        raise NexusError("This job runs for no pull or merge request.", code="NX5050")
    if len(whole) > request.most:
        raise NexusError(f"The comment has {len(whole):,} characters; {request.most:,} are taken.", code="NX5054")
    try:
        if not request.token:
            raise NexusError("There is no token to comment with.", code="NX5052")
        return "written" if put_comment(request, whole, marker=marker) else "updated"
    except NexusError as error:
        summary = variables.get(SUMMARY, "")
        if error.code != "NX5052" or not or_summary or not summary:
            raise
        append_summary(summary, whole + "\n")
        return "summary"
