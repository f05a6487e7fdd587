"""Simulated Beckhoff PLCs, real servers on a port: `serve` starts one link of them."""

from nexus_cli.drivers.ads.simulator.server import SimulatorServer, serve

__all__ = ["SimulatorServer", "serve"]
