"""Errors as answers of the API: a status, and one plain sentence. Never a traceback, a token or a password."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import Receive, Send

from nexus_cli.diagnostics.errors import FindingsError, NexusError
from nexus_cli.runtime.api.bodies import answer, schema_of
from nexus_cli.runtime.api.calling import address_of, caller_of
from nexus_cli.runtime.identity.logins import ThrottledError
from nexus_cli.runtime.identity.refusals import Refusals
from nexus_cli.wire.control import Failure

FAILURE: dict[str, object] = {
    "description": "Every answer that is not a success",
    "content": {"application/json": {"schema": schema_of(Failure)}},
}


def failure(status: int, code: str, message: str, *, hint: str = "", cause: str = "") -> Response:
    """Every answer that is not a success."""
    return answer(Failure(code=code, message=message, hint=hint, cause=cause), status=status)


_STATUS = {
    "NX5001": 409,
    "NX5002": 409,
    "NX5006": 404,
    "NX5010": 409,
    "NX5040": 503,
    "NX5041": 404,
    "NX6401": 401,
    "NX6402": 404,
    "NX6403": 403,
    "NX6405": 400,
    "NX6406": 404,
    "NX6407": 409,
    "NX6411": 403,
    "NX6412": 401,
    "NX6413": 401,
    "NX6415": 401,
    "NX6416": 429,
    "NX6418": 404,
    "NX6419": 401,
    "NX6421": 403,
    "NX6422": 422,
    "NX6423": 404,
    "NX6425": 422,
    "NX6426": 422,
    "NX6210": 404,
    "NX6211": 422,
    "NX6487": 429,
    "NX6488": 404,
    "NX6489": 409,
    "NX6612": 409,
    "NX6614": 422,
    "NX6802": 404,
    "NX6803": 409,
    "NX6804": 409,
    "NX6805": 422,
    "NX6806": 422,
    "NX6807": 422,
    "NX6830": 404,
    "NX6831": 409,
    "NX6832": 422,
    "NX6840": 404,
    "NX6841": 400,
    "NX6837": 400,
    "NX6838": 409,
    "NX6839": 409,
    "NX6921": 404,
    "NX6911": 409,
    "NX6950": 403,
    "NX6951": 400,
    "NX6931": 429,
    "NX6934": 409,
    "NX6935": 422,
}


def on_failure(error: NexusError) -> Response:
    """The answer for an error."""
    status = _STATUS.get(error.code, 422 if error.code[:3] in ("NX4", "NX5") else 503)
    message, hint = error.message, error.hint
    if isinstance(error, FindingsError) and error.findings:
        first = error.findings[0]
        more = f" (and {len(error.findings) - 1} more)" if len(error.findings) > 1 else ""
        message, hint = f"{error.message} {first.message}{more}", first.hint or hint
    found = failure(status, error.code, message, hint=hint, cause=error.cause)
    if isinstance(error, ThrottledError):
        found.headers["retry-after"] = str(error.retry_after_s)
    return found


async def refuse_socket(answer: Response, receive: Receive, send: Send) -> None:
    """Answer the handshake of a WebSocket with an ordinary refusal, body and all."""
    await receive()  # the handshake
    headers = [(name, value) for name, value in answer.raw_headers if name != b"content-length"]
    await send({"type": "websocket.http.response.start", "status": answer.status_code, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": answer.body})


def add_handlers(app: FastAPI, refusals: Refusals) -> None:
    """Answer every exception of a route, and record what was refused."""

    async def on_nexus_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, NexusError)  # registered only for this class
        caller = caller_of(request.scope)
        who = caller.principal if caller else getattr(error, "who", "")
        route = f"{request.method} {request.url.path}"
        refusals.note(error.code, who=who, address=address_of(request.scope), route=route)
        return on_failure(error)

    app.add_exception_handler(NexusError, on_nexus_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_bug)


async def _on_invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # registered only for this class
    found = error.errors()[0]
    where = ".".join(str(part)[:100] for part in found.get("loc", ()))
    return failure(422, "NX6405", f"The request could not be read: {where}: {found.get('msg', '')}")


async def _on_http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # registered only for this class
    code = "NX6406" if error.status_code in (404, 405) else "NX6405"
    return failure(error.status_code, code, f"The request was refused: {error.detail}")


async def _on_bug(_: Request, error: Exception) -> Response:
    return failure(
        500, "NX9000", f"This is a bug in nexus ({type(error).__name__}).", hint="the log of the process has the report"
    )
