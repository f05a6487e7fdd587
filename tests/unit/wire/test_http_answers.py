"""What the door to control makes of answers that are not control's own."""

from __future__ import annotations

import httpx
import orjson
import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.wire.http import _read


@pytest.mark.parametrize(
    ("status", "body", "code", "retriable"),
    [
        (503, orjson.dumps({"code": "NX6409", "message": "Control is stopping."}), "NX6409", True),
        (503, orjson.dumps({"code": "NX6408", "message": "a standby"}), "NX6408", True),
        (500, b"Internal Server Error", "NX6400", True),
        (502, b"<html>Bad Gateway</html>", "NX6400", True),
        (200, b"<html>hello</html>", "NX6404", False),
        (404, b"not found", "NX6404", False),
        (401, orjson.dumps({"code": "NX6401", "message": "Control wants a token."}), "NX6401", False),
    ],
)
def test_answers(status: int, body: bytes, code: str, retriable: bool) -> None:
    with pytest.raises(NexusError) as error:
        _read(httpx.Response(status, content=body), "http://control")
    assert (error.value.code, error.value.retriable, error.value.exit_code) == (code, retriable, 6)
