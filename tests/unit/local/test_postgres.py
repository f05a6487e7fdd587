"""The embedded PostgreSQL: how its programs say what is wrong."""

from __future__ import annotations

from nexus_cli.local.postgres import reason_of


def test_the_reason_is_the_line_that_tells_it() -> None:
    said = (
        "creating configuration files ... ok\n"
        '2026-11-21 06:19:25.073 UTC [3630] FATAL:  could not write to file "pg_wal/x.3630": No space left on device\n'
        'child process exited with exit code 1\ninitdb: removing contents of data directory "/d"\n'
    )
    assert reason_of(said) == 'FATAL:  could not write to file "pg_wal/x.3630": No space left on device'
    assert reason_of("initdb: error: could not access directory\nhint\n") == "initdb: error: could not access directory"
    assert (reason_of("odd\nlast\n"), reason_of("")) == ("last", "")
