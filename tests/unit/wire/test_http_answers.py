"""What the door to control makes of answers that are not control's own."""

from __future__ import annotations

import httpx
import orjson
import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.wire.control import State
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
        _read(httpx.Response(status, content=body), "http://control", State)
    assert (error.value.code, error.value.retriable, error.value.exit_code) == (code, retriable, 6)


@pytest.mark.parametrize("body", [b"[]", b"null", b"1", b"{}", b'{"deployment": "1"}', b'{"deployment": null}'])
def test_an_answer_of_another_shape_is_one_plain_sentence(body: bytes) -> None:
    with pytest.raises(NexusError) as error:
        _read(httpx.Response(200, content=body), "http://control", State)
    assert (error.value.code, error.value.retriable, error.value.exit_code) == ("NX6404", False, 6)
    assert error.value.cause and "\n" not in error.value.message


def test_unknown_fields_pass_and_those_of_a_later_version_may_be_missing() -> None:
    known = {"deployment": 3, "digest": "sha256:1", "digests": {"site": "sha256:2"}}
    for body in (known, {**known, "moon": {"phase": 1}}):
        found = _read(httpx.Response(200, content=orjson.dumps(body)), "http://control", State)
        assert found == State(deployment=3, digest="sha256:1", digests={"site": "sha256:2"}, running=[])
