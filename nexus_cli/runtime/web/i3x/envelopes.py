"""The shapes of i3X answers: one result, many results in the order of the request, and problems (RFC 9457).

Source: i3X 1.0, Implementation Guide, Response Format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import orjson
from fastapi import Response

BASE = "/i3x/v1"
TITLES = {
    206: "Partial Content",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    409: "Conflict",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
}
LONGEST_DETAIL = 500
MOST_REPEATED = 4 * 1024 * 1024
"""Bytes of results in one answer that are there already, because their ids were asked for more than once."""
_REPEATED = "It was asked for more than once, and the answer is too large to repeat it: ask for each id once."

Item = dict[str, Any]


class Problem(Exception):
    """What went wrong with a request, or with one of its elements.

    Attributes:
        status: HTTP status.
        detail: One sentence.
    """

    def __init__(self, status: int, detail: str) -> None:
        """Say what is wrong."""
        super().__init__(detail)
        self.status, self.detail = status, detail[:LONGEST_DETAIL]


def detail_of(status: int, detail: str, *, title: str = "") -> Item:
    """The `responseDetail` of a problem or of a partial answer."""
    return {"title": title or TITLES.get(status, "Error"), "status": status, "detail": detail}


def failed(problem: Problem) -> Response:
    """The answer of a request that failed as a whole."""
    body = {"success": False, "responseDetail": detail_of(problem.status, problem.detail)}
    return Response(orjson.dumps(body), status_code=problem.status, media_type="application/json")


def one(result: Any, *, partial: Item | None = None) -> Response:
    """One result; with `partial` it is cut, and the answer is 206."""
    body: Item = {"success": True, "result": result}
    if partial is not None:
        body["responseDetail"] = partial
    return json_answer(body, status=200 if partial is None else 206)


def json_answer(body: Any, *, status: int = 200) -> Response:
    """JSON."""
    return Response(orjson.dumps(body), status_code=status, media_type="application/json")


def bulk(items: Sequence[Item], *, partial: str = "", note: str = "") -> Response:
    """Results in the order and number of the request; `success` is false when one failed.

    Args:
        items: The results.
        partial: Why it was cut; then the answer is 206.
        note: What a reader of a whole answer should know.
    """
    body: Item = {"success": all(item["success"] for item in items), "results": items}
    if partial:
        body["responseDetail"] = detail_of(206, partial)
    elif note:
        body["responseDetail"] = detail_of(200, note, title="OK")
    return json_answer(body, status=206 if partial else 200)


def each(ids: Iterable[str], result_of: Callable[[str], Any], *, key: str = "elementId") -> list[Item]:
    """One item for each id; a `Problem` fails that one alone.

    An id that comes again has the result of before: it is looked up once. Repeated results take at most `MOST_REPEATED`
    bytes of an answer; what would be beyond fails, so that a small request makes no answer of gigabytes.
    """
    made: dict[str, Any] = {}
    repeated: dict[str, bytes] = {}
    left = MOST_REPEATED
    items = []
    for found in ids:
        try:
            if found not in made:
                made[found] = result_of(found)
                items.append({"success": True, key: found, "result": made[found]})
                continue
            if found not in repeated:
                repeated[found] = orjson.dumps(made[found])
            left -= len(repeated[found])
            if left < 0:
                raise Problem(400, _REPEATED)
            items.append({"success": True, key: found, "result": orjson.Fragment(repeated[found])})
        except Problem as problem:
            items.append(failed_item(found, problem, key=key))
    return items


def failed_item(asked: str, problem: Problem, *, key: str = "elementId") -> Item:
    """An element of the request that failed."""
    return {"success": False, key: asked, "responseDetail": detail_of(problem.status, problem.detail)}


def no_element(asked: str) -> Problem:
    """There is none, or the caller may not read it: that is the same."""
    return Problem(404, f"Element not found: {asked[:200]}")
