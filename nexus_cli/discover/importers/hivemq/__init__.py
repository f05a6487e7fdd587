"""HiveMQ Edge configurations."""
