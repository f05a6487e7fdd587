"""OPC UA NodeSet2 files."""
