"""Simulated OPC UA servers, real servers on a port: `serve` starts one link of them."""

from nexus_cli.drivers.opcua.simulator.server import SimulatorServer, serve

__all__ = ["SimulatorServer", "serve"]
