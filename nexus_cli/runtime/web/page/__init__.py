"""The page: its files, and the sessions of the people who use it.

See docs/decisions/0084.
"""
