"""The benchmarks: each can be imported and run by its name, so that a rename fails here and not in `make bench`."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import pytest

from tests.benchmarks.__main__ import NAMES

FOLDER = Path(importlib.import_module("tests.benchmarks").__path__[0])


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_runs_without_arguments(name: str) -> None:
    run = importlib.import_module(f"tests.benchmarks.bench_{name}").run
    assert all(one.default is not one.empty for one in inspect.signature(run).parameters.values())


def test_every_benchmark_has_a_name() -> None:
    assert sorted(NAMES) == sorted(path.stem.removeprefix("bench_") for path in FOLDER.glob("bench_*.py"))
