"""One folder a broker: its files written from grants, and read back by a reader that answers as the broker does."""
