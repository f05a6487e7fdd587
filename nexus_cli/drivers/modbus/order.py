"""Orders of the bytes of one value over its registers, and the names that other products give them.

Letters name the bytes of the value from the most significant (A) on, in the sequence in which the wire brings them.
The Modbus specification fixes only the two bytes of one register (high first: AB).
Source: Modbus Application Protocol V1.1b3 §4.2; the rest is each vendor's habit.
"""

from __future__ import annotations

from functools import lru_cache

NATURAL = {2: "AB", 4: "ABCD", 8: "ABCDEFGH"}
"""Most significant byte first, by size in bytes."""

ORDERS_16 = ("AB", "BA")
ORDERS_32 = ("ABCD", "CDAB", "BADC", "DCBA")
ORDERS_64 = (
    "ABCDEFGH",
    "GHEFCDAB",
    "BADCFEHG",
    "HGFEDCBA",
    "EFGHABCD",
    "FEHGBADC",
    "CDABGHEF",
    "DCBAHGFE",
)
"""All eight ways of swapping bytes in a word, words in a double word, and the two double words."""

# byte swap, word swap: what the four short names mean for every size
_SHORT: dict[str, tuple[bool, bool]] = {
    "ABCD": (False, False),
    "CDAB": (False, True),
    "BADC": (True, False),
    "DCBA": (True, True),
}

ALIASES: dict[str, str] = {
    "#LL": "ABCD",
    "#BL": "CDAB",
    "#LB": "BADC",
    "#BB": "DCBA",
    "BIG": "ABCD",
    "BIG_ENDIAN": "ABCD",
    "LITTLE": "DCBA",
    "LITTLE_ENDIAN": "DCBA",
    "BIG_ENDIAN_BYTE_SWAP": "BADC",
    "LITTLE_ENDIAN_BYTE_SWAP": "CDAB",
    "WORD_SWAP": "CDAB",
    "FLIP_REGISTERS": "CDAB",
    "FIRST_WORD_LOW": "CDAB",
    "BYTE_SWAP": "BADC",
    "BYTE_AND_WORD_SWAP": "DCBA",
    "WORD_AND_BYTE_SWAP": "DCBA",
}
"""Names of Neuron (`#..`), PLC4X (`.._ENDIAN..`), EdgeX (byte and word swap), HiveMQ (flip registers), Kepware (first word low).

Source: the products' documents; Neuron's #LL is the sequence 1,2,3,4.
"""

_ONE_LETTER = ("#L", "#B")
"""Neuron's order of 16 and 64 bits: as it comes, or reversed. Source: Neuron, Modbus address format."""

NAMES: tuple[str, ...] = (*ORDERS_16, *ORDERS_32, *ORDERS_64, *ALIASES, *_ONE_LETTER)


@lru_cache(maxsize=1 << 10)
def canonical_order(name: str, *, size: int) -> str:
    """The order in letters for a value of `size` bytes (2, 4 or 8).

    The four short orders fit every size: `CDAB` is `AB` for 16 bits and `GHEFCDAB` for 64.

    Raises:
        ValueError: The name is unknown, or it is an order of another size.
    """
    word = name.strip().upper().replace("-", "_").replace(" ", "_")
    if word in _ONE_LETTER:
        if size == 4:
            raise ValueError(f"order '{name}' is for 16 and 64 bits; 32 bits take two letters, such as #BB")
        return NATURAL[size][::-1] if word == "#B" else NATURAL[size]
    letters = ALIASES.get(word, word)
    if letters in _SHORT:
        byte_swap, word_swap = _SHORT[letters]
        return _swapped(size, byte_swap=byte_swap, word_swap=word_swap)
    if letters in ORDERS_16:
        return _swapped(size, byte_swap=letters == "BA", word_swap=False)
    if letters in ORDERS_64:
        if size != 8:
            raise ValueError(f"order '{name}' is for 64-bit values, this value has {size * 8} bits")
        return letters
    raise ValueError(f"'{name}' is not a byte order")


def _swapped(size: int, *, byte_swap: bool, word_swap: bool) -> str:
    natural = NATURAL[size]
    words = [natural[at : at + 2] for at in range(0, size, 2)]
    if word_swap:
        words.reverse()
    if byte_swap:
        words = [word[::-1] for word in words]
    return "".join(words)


def positions(order: str) -> tuple[int, ...]:
    """For each byte of the value, most significant first, its position on the wire."""
    return tuple(order.index(letter) for letter in NATURAL[len(order)])
