"""Commands in the gateway: heard, judged, remembered on disk, carried out once, answered, reported."""
