"""Sequences: whether a run may begin, its steps, and the record of runs."""
