"""NX6920 to NX6929: the role web for reading."""

from __future__ import annotations

from nexus_cli.diagnostics.codes.code import Code, text

CODES: tuple[Code, ...] = (
    Code(
        id="NX6920",
        slug="database-busy",
        hint="ask for a shorter span, or for buckets; try again in some seconds",
        summary="The database has too many questions to answer now, or this one takes too long.",
        why="Web asks a few things at a time, so that sign-in and live values never wait for a long question.",
        bad=text("GET …/history/PATH?since=5y&limit=10000, from twenty pages at once"),
        good=text("GET …/history/PATH?since=5y&every=1d"),
    ),
    Code(
        id="NX6921",
        slug="no-such-record",
        summary="There is no record of this name that you may read.",
        why="A device, a discovery run or another record that a caller may not read is as one that is not there.",
        good=text("GET …/devices or GET …/discoveries lists those that are there"),
    ),
)
