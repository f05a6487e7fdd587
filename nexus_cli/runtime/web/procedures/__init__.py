"""Declared messages with their fields, a preview that publishes nothing, and the names on which a caller has a right."""
