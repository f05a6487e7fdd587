"""Mosquitto's two forms as the registry calls them; all versions from 2.0 on read the same."""

from __future__ import annotations

from nexus_cli.access.brokers.forms.asked import Asked
from nexus_cli.access.brokers.mosquitto import acl_file, acl_reader, dynsec, dynsec_reader
from nexus_cli.access.brokers.rendered import Rendered
from nexus_cli.access.request import Rules


def render(asked: Asked) -> Rendered:
    """`acl` and `passwords`."""
    return acl_file.render(asked.grants, asked.accounts, asked.hashes or None)


def read(made: Rendered) -> Rules:
    """The rules of `acl`. Raises NexusError where Mosquitto would load none."""
    acl_reader.validate(made.files["acl"])
    return acl_reader.read_acl(made.files["acl"])


def render_dynsec(asked: Asked) -> Rendered:
    """`dynamic-security.json`."""
    return dynsec.render(asked.grants, asked.accounts, asked.hashes)


def read_dynsec(made: Rendered) -> Rules:
    """Its rules."""
    return dynsec_reader.read_dynsec(made.files[dynsec.FILE])
