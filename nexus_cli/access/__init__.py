"""Rights at the broker: grants compiled from a snapshot, the evaluator, and one renderer a broker.

`mosquitto` is the only renderer so far (the broker `amqtt` evaluates the grants itself). How to add one: CONTRIBUTING.md, "Add a broker".
"""
