"""A shuffled order without a list: a bijection of range(n) with a key, so that any place of it is found at once and nothing is kept.

A Feistel network permutes the numbers of 2k bits, whatever its round function; what falls outside range(n) goes through it again until it
falls inside (Black and Rogaway 2002, "Ciphers with arbitrary finite domains"). The round function is the finaliser of splitmix64.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

_ROUNDS = 6
_64 = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Shuffle:
    """The order of `n` things under a key. Made by `shuffle`."""

    n: int
    half: int  # bits of each half
    keys: tuple[int, ...]

    def __getitem__(self, place: int) -> int:
        """Which thing stands at `place`, both in range(n)."""
        if not 0 <= place < self.n:
            raise IndexError(f"there are {self.n} places, got {place}")
        half, mask = self.half, (1 << self.half) - 1
        value = place
        while True:
            left, right = value >> half, value & mask
            for key in self.keys:
                mixed = (right + key) & _64
                mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _64
                mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _64
                left, right = right, left ^ ((mixed ^ (mixed >> 31)) & mask)
            value = left << half | right
            if value < self.n:
                return value


@lru_cache(maxsize=256)
def shuffle(n: int, *key: str | int) -> Shuffle:
    """The order of `n` things that `key` (a seed, names, the number of a pass) stands for."""
    data = hashlib.sha512("\0".join(map(str, key)).encode()).digest()
    half = max(1, (max(n - 1, 1).bit_length() + 1) // 2)
    return Shuffle(n, half, tuple(int.from_bytes(data[8 * i : 8 * i + 8], "little") for i in range(_ROUNDS)))
