"""A hint repeats the command line as it was typed, without the consents that it gives itself."""

from __future__ import annotations

import pytest

from nexus_cli.cli.arguments import as_given


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        (["apply"], "nexus apply"),
        (["rollback", "--to", "0", "--yes"], "nexus rollback --to 0 --yes"),
        (
            ["apply", "a b/site.yaml", "--allow", "data-loss=**", "--env", "prod"],
            "nexus apply 'a b/site.yaml' --env prod",
        ),
        (["apply", "--allow=acl-widen=bob", "monday.plan"], "nexus apply monday.plan"),
        (["apply", "--allow"], "nexus apply"),
    ],
)
def test_the_command_line_without_consents(typed: list[str], shown: str) -> None:
    assert as_given(typed) == shown
