"""Drift: what differs between the files, what control recorded, what the gateways run and what the devices have. Pure."""
