"""Simulated S7 CPUs, real servers on a port: `serve` starts one link of them."""

from nexus_cli.drivers.s7.simulator.server import SimulatorServer, serve

__all__ = ["SimulatorServer", "serve"]
