"""Days of samples into the archive, as jobs (decision 0095)."""
