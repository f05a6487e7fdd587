"""What the tests of the driver contract are given."""

from __future__ import annotations

import pytest

from tests.contract.driver_cases import CASES, DriverCase


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> DriverCase:
    found: DriverCase = request.param
    return found


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One `.nexus` folder for the whole run: certificates are slow to make."""
    base = tmp_path_factory.getbasetemp() / "driver-home"
    base.mkdir(exist_ok=True)
    return str(base)
