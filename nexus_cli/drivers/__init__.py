"""The door to the field: one folder a protocol, each passing `tests/contract/test_driver*.py`."""
