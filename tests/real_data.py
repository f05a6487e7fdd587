"""Files of real devices and of other projects' test suites, which are not part of the project; tests that need them skip loudly."""

from __future__ import annotations

import os
from pathlib import Path

DATA = Path(os.environ.get("NEXUS_TEST_DATA") or Path(__file__).parents[2] / "shared" / "data")
"""NEXUS_TEST_DATA names another folder; by default they are beside the project."""
