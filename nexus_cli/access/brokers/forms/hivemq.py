"""HiveMQ's two forms as the registry calls them."""

from __future__ import annotations

from nexus_cli.access.brokers.forms.asked import Asked
from nexus_cli.access.brokers.hivemq import rbac, rbac_reader
from nexus_cli.access.brokers.rendered import Rendered
from nexus_cli.access.request import Rules


def render(asked: Asked) -> Rendered:
    """`credentials.xml` and `extension-config.xml` of the file RBAC extension."""
    return rbac.render(asked.grants, asked.accounts, asked.hashes, topics=asked.topics)


def read(made: Rendered) -> Rules:
    """The rules of `credentials.xml`."""
    return rbac_reader.read_credentials(made.files[rbac.CREDENTIALS])


def render_enterprise(asked: Asked) -> Rendered:
    """The file realm of the Enterprise Security Extension, without users."""
    return rbac.render_enterprise(asked.grants, asked.accounts, topics=asked.topics)


def read_enterprise(made: Rendered) -> Rules:
    """The rules of the realm."""
    return rbac_reader.read_realm(made.files[rbac.REALM])
