"""Devices as a gateway runs them: the state of their tags, from raw values to samples, and what was not read."""
