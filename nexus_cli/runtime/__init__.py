"""6 run: the three roles, a folder each, and what they share: clock, life cycle, health, metrics, logs."""
