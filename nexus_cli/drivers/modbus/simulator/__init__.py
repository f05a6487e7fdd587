"""Simulated Modbus devices, real servers on a port: `serve` starts one link of them."""

from nexus_cli.drivers.modbus.simulator.links import serve
from nexus_cli.drivers.modbus.simulator.server import SimulatorServer

__all__ = ["SimulatorServer", "serve"]
