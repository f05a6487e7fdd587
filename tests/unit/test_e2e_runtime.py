"""The runtime of the e2e tests: a role that has ended is not waited for."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.e2e.runtime import Runtime


def test_a_role_that_has_ended_fails_its_test_with_its_exit_code_and_its_log(tmp_path: Path) -> None:
    database = SimpleNamespace(url="postgresql://nobody@127.0.0.1:1/x", password="")
    runtime = Runtime(tmp_path / "site", site="acme/chicago", database=database)
    runtime.spawn("control", [sys.executable, "-c", "print('there is no database'); raise SystemExit(3)"])
    with pytest.raises(AssertionError, match="control ended with exit code 3:\nthere is no database"):
        runtime.wait_ready("control")
