"""An MQTT client without input and output: bytes and the time go in, bytes and events come out. Versions 3.1.1 and 5.

`packets` writes and splits, `properties` reads and writes what version 5 adds, `session` has the rules, `reasons` the
words. The loop and the socket are `wire/connection.py`'s.

See docs/decisions/0057.
"""
