"""Where `nexus mcp --http` listens, and under which names."""

from __future__ import annotations

import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.project.mcp.asking import bearer, clean
from nexus_cli.project.mcp.serving import address_of, names_of, protection


def test_an_address_has_host_and_port() -> None:
    assert address_of("127.0.0.1:8765") == ("127.0.0.1", 8765)
    assert address_of("[::1]:0") == ("::1", 0)
    for wrong in ("", "8765", ":8765", "host:", "host:port", "host:65536", "host:-1", "host:²"):
        with pytest.raises(NexusError) as raised:
            address_of(wrong)
        assert raised.value.code == "NX6949"


def test_the_names_of_a_host() -> None:
    assert names_of("127.0.0.1", []) == ["127.0.0.1", "localhost", "[::1]"]
    assert names_of("plant.example", ["other.example"]) == ["plant.example", "other.example"]
    assert names_of("fd00::5", []) == ["[fd00::5]"]
    assert names_of("0.0.0.0", ["plant.example"]) == ["plant.example"]
    with pytest.raises(NexusError, match="under which name"):
        names_of("0.0.0.0", [])


def test_the_protection_is_on_for_exactly_these_names() -> None:
    found = protection(["plant.example"])
    assert found.enable_dns_rebinding_protection
    assert found.allowed_hosts == ["plant.example", "plant.example:*"]
    assert "https://plant.example:*" in found.allowed_origins and len(found.allowed_origins) == 4


def test_a_token_is_read_from_its_header() -> None:
    assert bearer({"authorization": "Bearer abc"}) == "abc"
    assert bearer({"authorization": "bearer  abc "}) == "abc"
    assert [bearer(each) for each in ({}, {"authorization": "Basic abc"}, {"authorization": "Bearer "})] == ["", "", ""]


def test_a_path_stays_below_its_route() -> None:
    assert clean(" /a/l/d/t/ ") == "a/l/d/t"
    for wrong in ("", "/", "a//b", "a/../b", ".", "a/\nb", "a/\0"):
        with pytest.raises(NexusError) as raised:
            clean(wrong)
        assert raised.value.code == "NX6942"
