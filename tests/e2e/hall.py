"""A runtime with its simulated devices, and rows that must equal what was put into them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.e2e.field import Field
from tests.e2e.rows import expected, physical, wait_rows, wrong_rows
from tests.e2e.runtime import Runtime


@contextmanager
def at_work(runtime: Runtime, field: Field) -> Iterator[None]:
    """Both run as long as the block."""
    try:
        field.start()
        runtime.start()
        yield
    finally:
        runtime.stop()
        field.stop()


class Held:
    """What one device holds, and the rows that must come of it.

    Attributes:
        wanted: Value by tag path.
    """

    def __init__(self, runtime: Runtime, field: Field, path: str) -> None:
        self.wanted: dict[str, Any] = {}
        self._runtime, self._field, self._path = runtime, field, path
        self._tags = physical(field.devices[path])

    def hold(self, values: dict[str, Any]) -> None:
        """Put raw values into the device."""
        for name, value in values.items():
            self._field.set(self._path, name, value)
            self.wanted[f"{self._path}/{name}"] = expected(self._tags[name], value)

    def prove(self, *, exact: dict[str, int]) -> None:
        """Wait for the rows, all GOOD; `exact` are integers beyond a double, by tag."""
        rows = wait_rows(self._runtime, self.wanted)
        assert wrong_rows(rows, self.wanted) == {}
        for name, value in exact.items():
            assert int(rows[f"{self._path}/{name}"]["value_exact"]) == value
        assert {rows[name]["quality"] for name in self.wanted} == {192}
