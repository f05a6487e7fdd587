"""A second opinion: one address asked now, by our own client and by a published library, each with its bytes.

For an engineer who doubts a value. Both ask over a connection of their own, one after the other, so a value that moves
may differ between them; what stands still and differs is a fault of one of the two.
"""
