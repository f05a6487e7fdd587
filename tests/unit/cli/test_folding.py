"""A status on a narrow terminal: no line is cut in a word, and what goes on is below its column."""

from __future__ import annotations

from nexus_cli.cli.folding import folded

LINE = "    backoff     s7:127.0.0.1:28102/0.1 (gw-2) no connection to 127.0.0.1:28102: connection refused"


def test_what_is_too_long_goes_on_below_its_column() -> None:
    assert folded(LINE, None) == LINE and folded(LINE, 120) == LINE
    assert folded(LINE, 80).split("\n") == [
        "    backoff     s7:127.0.0.1:28102/0.1 (gw-2) no connection to 127.0.0.1:28102:",
        "                connection refused",
    ]


def test_colours_have_no_width_and_are_kept() -> None:
    coloured = LINE.replace("backoff", "\x1b[31mbackoff\x1b[0m")
    assert folded(coloured, len(LINE)) == coloured
    assert folded(coloured, 80) == folded(LINE, 80).replace("backoff", "\x1b[31mbackoff\x1b[0m")


def test_a_word_that_fits_nowhere_is_left_whole() -> None:
    assert folded("  database  " + "x" * 50, 30) == "  database  " + "x" * 50
    assert folded("a\n\nb", 30) == "a\n\nb"
