"""`nexus latency`: its exit code, its JSON, and what it shows again and again."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from nexus_cli.cli.commands import latency as module
from nexus_cli.exit_codes import Exit
from nexus_cli.wire.latency_health import LatencyTable, LatencyWindow, OperationLatency, rows_of


def table(count: int, *missing: str) -> LatencyTable:
    """One gateway that read so often."""
    read = OperationLatency(minute=LatencyWindow(count=count, p50_ms=1.0, p95_ms=2.0, p99_ms=3.0, max_ms=4.0))
    return LatencyTable(rows=rows_of("gateway", "gw-1", {"read": read}), missing=list(missing))


@pytest.mark.parametrize(("missing", "code"), [((), Exit.OK), (("web: does not answer",), Exit.OUTSIDE)])
def test_a_role_that_does_not_answer_is_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, missing: tuple[str, ...], code: Exit
) -> None:
    asked: list[str] = []

    def latency(*, role: str) -> LatencyTable:
        asked.append(role)
        return table(3, *missing)

    monkeypatch.setattr(module, "latency", latency)
    done = CliRunner().invoke(module.command, ["--role", "gateway", "--format", "json"], standalone_mode=False)
    assert done.return_value == code and asked == ["gateway"]
    found = json.loads(done.output)
    assert found["missing"] == list(missing)
    assert found["rows"][0] == {
        "role": "gateway", "name": "gw-1", "operation": "read", "window": "1m", "time": 0,
        "count": 3, "p50_ms": 1.0, "p95_ms": 2.0, "p99_ms": 3.0, "max_ms": 4.0,
    }  # fmt: skip


@pytest.mark.parametrize("form", ["json", "text"])
def test_watching_ends_with_an_interrupt(monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    counts = iter(range(1, 4))
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "latency", lambda *, role: table(next(counts)))
    monkeypatch.setattr(module.time, "sleep", sleep)
    done = CliRunner().invoke(module.command, ["--watch", "--format", form])
    assert pauses == [module.EVERY_S] * 3
    lines = done.output.splitlines()
    if form == "json":
        documents = [json.loads(line) for line in lines if line.startswith("{")]
        assert [one["rows"][0]["count"] for one in documents] == [1, 2, 3], "a document a line"
    else:
        shown = [line.split() for line in lines if line.startswith("gateway")]
        assert [line[4] for line in shown] == ["1", "2", "3"]
        assert "\x1b" not in done.output, "nothing is cleared where there is no terminal"
