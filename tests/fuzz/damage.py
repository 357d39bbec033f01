"""Seeded damage to recordings: truncation, flipped bits, insertions, deletions, duplications, numbers and lengths."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

__all__ = ["damaged"]

_NUMBERS = (0, 1, 2, 7, 8, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 1 << 20, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 40, 1 << 62)
_TEXT_NUMBERS = (b"0", b"-1", b"18446744073709551616", b"4294967296", b"99999999999999999999999", b"1e9", b"0x", b"NaN")
_SIGNS = b" \t\n\r\0,;:|\"'=-+[](){}./\\#\xff\xc3"


def _place(data: bytearray, rng: random.Random) -> int:
    """A position: the beginning, where most of the structure is, is hit as often as all the rest."""
    top = len(data)
    return rng.randrange(min(top, 256) if rng.random() < 0.3 else top) if top else 0


def _flip(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 2, 8)) if data else 0):
        data[_place(data, rng)] ^= 1 << rng.randrange(8)


def _cut(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data) + 1) :]


def _insert(data: bytearray, rng: random.Random) -> None:
    at = _place(data, rng)
    data[at:at] = rng.randbytes(rng.choice((1, 2, 4, 8, 61, 4096)))


def _delete(data: bytearray, rng: random.Random) -> None:
    at = _place(data, rng)
    del data[at : at + rng.choice((1, 2, 4, 8, 64, 1000))]


def _repeat(data: bytearray, rng: random.Random) -> None:
    at = _place(data, rng)
    piece = bytes(data[at : at + rng.choice((1, 8, 64, 500, 4096))])
    data[at:at] = piece * rng.choice((1, 1, 2, 20))


def _swap(data: bytearray, rng: random.Random) -> None:
    size = rng.choice((1, 4, 8, 100))
    a, b = _place(data, rng), _place(data, rng)
    if abs(a - b) >= size and max(a, b) + size <= len(data):
        data[a : a + size], data[b : b + size] = data[b : b + size], data[a : a + size]


def _number(data: bytearray, rng: random.Random) -> None:
    """Put a number where a length, a count, an offset or an id may be: in place, with or without alignment."""
    width = rng.choice((1, 2, 4, 8))
    at = _place(data, rng)
    at -= at % width if rng.random() < 0.7 else 0
    value = rng.choice((*_NUMBERS, len(data), len(data) - at, rng.getrandbits(64)))
    if rng.random() < 0.3 and at + width <= len(data):  # near the truth
        value = int.from_bytes(data[at : at + width], "little") + rng.choice((-8, -1, 1, 8))
    data[at : at + width] = struct.pack("<Q", value & (1 << 64) - 1)[:width]


def _zero(data: bytearray, rng: random.Random) -> None:
    at = _place(data, rng)
    size = min(rng.choice((8, 64, 512)), len(data) - at)
    data[at : at + size] = bytes([rng.choice((0, 0, 0xFF, 0x20))]) * size


def _word(data: bytearray, rng: random.Random) -> None:
    """Replace a number of a text by another one, or a character by one that separates."""
    at = _place(data, rng)
    end = at
    while end < len(data) and data[end : end + 1].isdigit():
        end += 1
    if end > at:
        data[at:end] = rng.choice(_TEXT_NUMBERS)
    elif at < len(data):
        data[at] = rng.choice(_SIGNS)


def _line(data: bytearray, rng: random.Random) -> None:
    """Move a line of a text elsewhere, or double it."""
    lines = bytes(data).split(b"\n")
    line = lines[rng.randrange(len(lines))]
    if rng.random() < 0.5:
        lines.remove(line)
    lines.insert(rng.randrange(len(lines) + 1), line)
    data[:] = b"\n".join(lines)


_BINARY: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip,
    _flip,
    _cut,
    _insert,
    _delete,
    _repeat,
    _swap,
    _number,
    _number,
    _number,
    _zero,
)


def damaged(data: bytes, rng: random.Random) -> bytes:
    """``data`` with one to three kinds of damage."""
    out = bytearray(data)
    ways = (*_BINARY, _word, _word, _word, _line) if b"\0" not in data[:4096] else _BINARY
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        rng.choice(ways)(out, rng)
    return bytes(out)
