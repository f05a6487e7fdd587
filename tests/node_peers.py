"""The npm peers of the tests: where they are, and a loud skip where they are not."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest

NODE_MODULES = os.environ.get("NEXUS_TEST_NODE_MODULES", str(Path(__file__).parent / "peers" / "node_modules"))
"""Given to Node.js as NODE_PATH."""
NATIVE = {"node-snap7": "build/Release"}
"""Packages that a compiler has to finish, and what it makes."""


def node_with(package: str) -> str:
    """The `node` program, for a test that needs this package; skips where one of them is missing."""
    node = shutil.which("node")
    folder = Path(NODE_MODULES) / package
    if node is None:
        pytest.skip(f"no Node.js for npm {package}")
    if not (folder / NATIVE.get(package, "")).is_dir():
        compiler = ", which needs a C++ compiler" if package in NATIVE else ""
        pytest.skip(
            f"no npm {package} in {NODE_MODULES}: `make peers`{compiler}; NEXUS_TEST_NODE_MODULES names another folder"
        )
    return node


async def run_node(node: str, *arguments: str, stderr: int = asyncio.subprocess.PIPE) -> asyncio.subprocess.Process:
    """Node.js with pipes and the peers' packages: `-e` and a script, or a file, then the script's own arguments."""
    return await asyncio.create_subprocess_exec(
        node,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
        env={**os.environ, "NODE_PATH": NODE_MODULES},
    )
