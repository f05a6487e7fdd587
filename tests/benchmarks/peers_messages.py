from __future__ import annotations
def compare(program): return []
