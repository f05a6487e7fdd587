"""What changes something, for the callers of web: commands to gateways, and what is forwarded to control.

See docs/decisions/0077.
"""
