"""Parts that the simulators of all protocols share: servers on a stream, memories, signals."""
