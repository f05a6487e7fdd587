"""Commands in the gateway: received, checked, journalled, executed once, answered, reported."""
