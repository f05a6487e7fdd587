"""Importers: files of other tools become proposed tags. One module a format; `registry` picks by content.

Nothing is dropped in silence: every value, row, node and setting of a file is either found or skipped by name with
its reason, and every tag that is found is valid in the site language (`validation`).
"""

from __future__ import annotations

from nexus_cli.discover.importers.options import ImportOptions
from nexus_cli.discover.importers.registry import import_file

__all__ = ["ImportOptions", "import_file"]
