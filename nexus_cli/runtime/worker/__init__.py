"""The role worker: works off jobs (decision 0090)."""
