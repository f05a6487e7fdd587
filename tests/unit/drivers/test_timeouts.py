"""The time-outs of a connection, and the defaults of one that sets none."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import nexus_cli
from nexus_cli.drivers.timeouts import connect_timeout_s, slowest_s, timeout_s


@pytest.mark.parametrize(
    ("connection", "request_s", "connect_s", "longer_s"),
    [
        ({}, 1.0, 3.0, 3.0),
        ({"timeout": None, "connect_timeout": None}, 1.0, 3.0, 3.0),
        ({"timeout": 250}, 0.25, 3.0, 3.0),
        ({"timeout": 5_000}, 5.0, 3.0, 5.0),
        ({"connect_timeout": 10_000}, 1.0, 10.0, 10.0),
        ({"timeout": 200, "connect_timeout": 500}, 0.2, 0.5, 0.5),
    ],
)
def test_what_is_not_set_is_the_default(
    connection: dict[str, int | None], request_s: float, connect_s: float, longer_s: float
) -> None:
    assert timeout_s(connection) == request_s
    assert connect_timeout_s(connection) == connect_s
    assert slowest_s(connection) == longer_s


def test_no_driver_has_a_default_of_its_own() -> None:
    names = {"DEFAULT_TIMEOUT_MS", "DEFAULT_CONNECT_TIMEOUT_MS"}
    folder = Path(nexus_cli.__file__).parent / "drivers"
    assigned = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in names
    }
    assert assigned == {"timeouts.py"}
