"""SipHash-2-4 of one 64-bit word, written from the paper (Aumasson, Bernstein, 2012, section 2)."""

from __future__ import annotations

__all__ = ["siphash24"]

MASK = (1 << 64) - 1


def siphash24(key: bytes, word: int) -> int:
    """Return the 64-bit hash of the 8 little-endian bytes of ``word`` under the 16-byte ``key``."""
    k0, k1 = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]
    for block in (word, 8 << 56):  # the message, and its length
        v[3] ^= block
        rounds(v, 2)
        v[0] ^= block
    v[2] ^= 0xFF
    rounds(v, 4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def rounds(v: list[int], count: int) -> None:
    for _ in range(count):
        v[0] = (v[0] + v[1]) & MASK
        v[1] = rotated(v[1], 13) ^ v[0]
        v[0] = rotated(v[0], 32)
        v[2] = (v[2] + v[3]) & MASK
        v[3] = rotated(v[3], 16) ^ v[2]
        v[0] = (v[0] + v[3]) & MASK
        v[3] = rotated(v[3], 21) ^ v[0]
        v[2] = (v[2] + v[1]) & MASK
        v[1] = rotated(v[1], 17) ^ v[2]
        v[2] = rotated(v[2], 32)


def rotated(word: int, bits: int) -> int:
    return (word << bits | word >> (64 - bits)) & MASK
