"""Fixtures of every test: servers come from one layer each."""

pytest_plugins = ["tests.postgres"]
