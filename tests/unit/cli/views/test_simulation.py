"""What `nexus sim` says."""

from __future__ import annotations

import pytest

from nexus_cli.cli.views.simulation import document, text
from nexus_cli.project.simulate import Served, Simulation


@pytest.mark.parametrize("moved", [False, True])
def test_a_link_at_another_address_comes_with_the_reason_and_the_commands(moved: bool) -> None:
    served = Served(
        link="tcp:127.0.0.1:15020",
        protocol="modbus",
        endpoint="tcp://127.0.0.1:42021",
        moved=moved,
        devices=("a/l/d",),
        tags=2,
        server=None,
    )
    said = text(document(Simulation(links=(served,), skipped={}), overlay=""))
    assert ("the port is in use" in said) is moved
    assert ("nexus sim SITE --overlay SITE/env/sim.yaml, then nexus apply SITE --env sim" in said) is moved
