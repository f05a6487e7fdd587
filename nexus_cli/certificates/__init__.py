"""Certificates of a site: its small CA, what it issued, and when each ends. Files and arithmetic, no network.

See docs/decisions/0073.
"""
