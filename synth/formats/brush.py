"""Label Studio's run lengths of a brushed region: a stream of bits that unfolds to the RGBA bytes of the whole picture, row by row.

Bits, the highest of a byte first: 32 for how many words there are, 5 for the bits of a word less one, four times 4 for the bits of a
length less one; then blocks of one bit (1: one word, repeated; 0: that many words), two for which of the four lengths follows, the
length less one, and the word or words. Label Studio uses words of 8 bits. A pixel belongs to the region if its alpha is above 0, as its
own converters have it.

The scheme: https://github.com/thi-ng/umbrella/tree/develop/packages/rle-pack.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from synth.errors import FormatError
from synth.types import U8, Bool, Rle

_LENGTHS = (4, 8, 12, 16)  # bits of the lengths that we write
_LONGEST = 1 << _LENGTHS[-1]
_CHANNELS = 4


def decode(data: Sequence[int], width: int, height: int) -> Rle:
    """The mask of a picture of this size. Raises FormatError if `data` are no bytes, are cut short or are of another size."""
    try:
        packed = np.array(data, np.uint8)
    except (ValueError, TypeError, OverflowError) as error:
        raise FormatError("its run lengths must be whole numbers from 0 to 255") from error
    if packed.ndim != 1 or not set(map(type, data)) <= {int}:
        raise FormatError("its run lengths must be whole numbers from 0 to 255")
    bits = np.unpackbits(packed)
    words = width * height * _CHANNELS
    if len(bits) < 53:
        raise FormatError(f"its run lengths are cut short: {len(packed)} bytes")
    digits = (bits + ord("0")).tobytes()
    if int(digits[:32], 2) != words:
        raise FormatError(f"its run lengths are of {int(digits[:32], 2)} values, a picture of {width}x{height} has {words}")
    if int(digits[32:37], 2) != 7:
        raise FormatError(f"its run lengths are of words of {int(digits[32:37], 2) + 1} bits; only 8 are known")
    out = np.empty(words, np.uint8)
    done = 0
    for values, count in _blocks(digits, bits):
        if done + count > words:
            raise FormatError(f"its run lengths go on after the last of {words} values")
        out[done : done + count] = values
        done += count
        if done == words:
            return Rle.encode(out.reshape(height, width, _CHANNELS)[..., 3] > 0)
    raise FormatError(f"its run lengths are cut short: {done} of {words} values")


def _blocks(digits: bytes, bits: U8) -> Iterator[tuple[int | U8, int]]:
    """The value or values of each block and how many they are, until the bits end."""
    lengths = [int(digits[at : at + 4], 2) + 1 for at in range(37, 53, 4)]
    at = 53
    while at + 3 < len(digits):
        size = lengths[int(digits[at + 1 : at + 3], 2)]
        repeated, start = digits[at] == ord("1"), at + 3 + size
        if start + 8 > len(digits):
            return
        count = int(digits[at + 3 : start], 2) + 1
        at = start + 8 * (1 if repeated else count)
        if at > len(digits):
            return
        yield (int(digits[start:at], 2) if repeated else np.packbits(bits[start:at])), count


def encode(mask: Rle) -> list[int]:
    """The bytes of `mask`: white where it is set, nothing elsewhere."""
    pixels: Bool = mask.decode().ravel()
    starts = np.flatnonzero(np.diff(pixels, prepend=~pixels[:1]))
    runs = np.diff(starts, append=len(pixels)) * _CHANNELS
    parts = [f"{len(pixels) * _CHANNELS:032b}{7:05b}", *(f"{size - 1:04b}" for size in _LENGTHS)]
    blocks: dict[tuple[bool, int], str] = {}  # most rows of a region have the runs of others
    for run in zip(pixels[starts].tolist(), runs.tolist(), strict=True):
        if run not in blocks:
            blocks[run] = _run(*run)
        parts.append(blocks[run])
    digits = np.frombuffer("".join(parts).encode(), np.uint8) - ord("0")
    return np.packbits(digits).tolist()


def _run(inside: bool, count: int) -> str:
    """The bits of `count` equal words."""
    found = ""
    for length in [*[_LONGEST] * (count // _LONGEST), *([count % _LONGEST] if count % _LONGEST else [])]:
        index, size = next((i, size) for i, size in enumerate(_LENGTHS) if length <= 1 << size)
        found += f"1{index:02b}{length - 1:0{size}b}" + "01"[inside] * 8
    return found
