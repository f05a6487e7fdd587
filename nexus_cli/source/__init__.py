"""1 read: from files to one tree of plain values with the place of everything in the text."""

from nexus_cli.source.load import load_site
from nexus_cli.source.tree import SourceTree

__all__ = ["SourceTree", "load_site"]
