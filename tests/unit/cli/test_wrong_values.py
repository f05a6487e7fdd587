"""Values of options that can be none are refused in words, before anything is asked."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from nexus_cli.cli.main import cli


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("rollback", "abc"), "'abc' is not a whole number."),
        (("rollback", "0"), "0 is not in the range"),
        (("confirm", "1.5"), "'1.5' is not a whole number."),
        (("deployments", "--limit", "many"), "'many' is not a whole number."),
        (("rollout", "show", "canary"), "'canary' is not a whole number."),
        (("apply", "--effect", "sha256:12"), "'sha256:12' is no effect: sha256: and 64 hexadecimal digits"),
        (("apply", "--effect", "yes"), "'yes' is no effect"),
    ],
)
def test_a_wrong_value_is_refused_in_words(arguments: tuple[str, ...], words: str) -> None:
    found = CliRunner().invoke(cli, list(arguments), env={"COLUMNS": "200"})
    assert found.exit_code in (2, 64) and words in found.output, found.output
