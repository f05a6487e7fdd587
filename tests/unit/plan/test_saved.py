"""A saved plan shows the consents of the command that applies it, not those of the one that made it."""

from __future__ import annotations

from nexus_cli.project.change import Ready

HAZARD = {
    "name": "data-loss",
    "scope": "a/l/d/t",
    "address": "device.a/l/d",
    "message": "rows are lost",
    "allowed": False,
}


def test_hazards_are_marked_by_the_consents_given_now() -> None:
    ready = Ready(site="acme/x", document={"hazards": [HAZARD], "errored": False}, changed={}, source={})
    assert [each["allowed"] for each in ready.consented(["data-loss"])["hazards"]] == [True]
    assert [each["allowed"] for each in ready.consented(["data-loss=b/**"])["hazards"]] == [False]
    assert ready.document["hazards"][0]["allowed"] is False
