"""Every module of the package, imported: what a process forked from here has at its start. See `tests/forks.py`."""

from __future__ import annotations

import gc
import pkgutil
from importlib import import_module

import nexus_cli

for module in pkgutil.walk_packages(nexus_cli.__path__, "nexus_cli."):
    if not module.name.endswith("__main__"):
        import_module(module.name)
gc.collect()
gc.freeze()  # a collector that walks over what is shared copies it
