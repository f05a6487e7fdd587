"""Who may do what at the broker: grants compiled from a snapshot, the evaluator, and one renderer a broker.

`mosquitto` is here; `emqx` and `hivemq` stand beside it when they come, from the same list of grants.
"""
