"""Control's HTTP API: who calls, what may be sent, and one module per group of routes."""
