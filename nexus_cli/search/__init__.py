"""Finding what is declared by words: the same index for web and for the command line. Pure.

See docs/decisions/0085.
"""
