"""The HTTP routes of web for reading: one module a subject, each with its routes and what they need.

See docs/decisions/0080.
"""
