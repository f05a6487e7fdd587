"""Subscriptions: what changed of the objects that a client registered, kept until it says that it has it.

`queue` is what waits, `watching` what is listened to, `subscription` both together, `keeper` those of one process and where
they are in the database.
"""
