"""Alerts: the state machine of one, all of them on live topics, and their record."""
