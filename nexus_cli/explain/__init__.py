"""What is behind a value: the chain from the device to the row, and why there is none. From what is recorded and reported. Pure."""
