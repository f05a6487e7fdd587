"""Whether this is the plant, a mock or a replay, and what is watched first."""
