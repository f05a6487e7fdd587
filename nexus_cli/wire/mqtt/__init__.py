"""An MQTT client without input and output, versions 3.1.1 and 5: bytes and the time go in, bytes and events come out.

`packets` writes, `answers` reads, `properties` does both for what version 5 adds; `session` has the rules, `state` what
outlives a connection, `assembly` makes packets of pieces, `reasons` has the codes in words. Loop and socket are in
`wire/connection.py`.

See docs/decisions/0057.
"""
