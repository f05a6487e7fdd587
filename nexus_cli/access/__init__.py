"""Rights at the broker: grants compiled from a snapshot, the evaluator, and one folder a broker below `brokers/`.

How to add a broker: CONTRIBUTING.md, "Add a broker".
"""
