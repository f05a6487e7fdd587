"""Chaos: a plant whose devices count, faults drawn from a seed, and a verdict on every moment of every tag.

`python -m tests.chaos --seed 1 --minutes 5` builds a runtime of separate processes with a proxy in front of every
connection, carries out the schedule, waits until everything has settled, and reads the record. See docs/chaos.md.
"""
