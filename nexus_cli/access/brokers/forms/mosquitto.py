"""Mosquitto's forms as the registry calls them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nexus_cli.access.accounts import Accounts
from nexus_cli.access.brokers.mosquitto import acl_file, acl_reader
from nexus_cli.access.brokers.rendered import Rendered
from nexus_cli.access.grants import Grant
from nexus_cli.access.passwords import Hashes
from nexus_cli.access.request import Rules


def render(grants: Sequence[Grant], accounts: Accounts, hashes: Mapping[str, Hashes] | None, version: str) -> Rendered:
    """`acl` and `passwords`; all versions from 2.0 on read the same."""
    del version
    return acl_file.render(grants, accounts, hashes)


def read(made: Rendered, version: str) -> Rules:
    """The rules of `acl`. Raises NexusError where Mosquitto would load none."""
    del version
    acl_reader.validate(made.files["acl"])
    return acl_reader.read_acl(made.files["acl"])
