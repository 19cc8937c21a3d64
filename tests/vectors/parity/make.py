#!/usr/bin/python3
"""Makes the vectors of parity after formats/parity/SPEC.md, with a field of
its own: bytes of rows by a small generator, shards by the definition."""
import os
import sys


def mul(a, b):
    product = 0
    while b:
        if b & 1:
            product ^= a
        a <<= 1
        if a & 0x100:
            a ^= 0x11d
        b >>= 1
    return product


INVERSE = {a: b for a in range(1, 256) for b in range(1, 256)
           if mul(a, b) == 1}


def row_bytes(k, row, length):
    """What test_parity.c computes too."""
    x = (k * 1000 + row * 7 + 1) & 0xffffffff
    data = bytearray()
    for _ in range(length):
        x = (x * 1664525 + 1013904223) & 0xffffffff
        data.append(x >> 24)
    return bytes(data)


def shard(k, j, rows, length):
    out = bytearray(length)
    for r, data in enumerate(rows):
        factor = INVERSE[(k + j - 1) ^ r]
        for i, byte in enumerate(data):
            out[i] ^= mul(factor, byte)
    return bytes(out)


def main(folder):
    with open(os.path.join(folder, "expected"), "w", encoding="ascii") as file:
        for k, m, lengths in ((1, 1, [33]), (2, 1, [40, 17]),
                              (3, 2, [64, 0, 63]), (10, 1, [32] * 10),
                              (10, 2, [32] * 7), (5, 4, [9, 31, 32, 1, 8]),
                              (200, 55, [5] * 200), (254, 1, [3] * 254)):
            rows = [row_bytes(k, r, n) for r, n in enumerate(lengths)]
            for j in range(1, m + 1):
                file.write("%d %d %s %d %s\n" % (
                    k, m, ",".join(map(str, lengths)), j,
                    shard(k, j, rows, max(lengths)).hex()))


main(os.path.dirname(os.path.abspath(sys.argv[0])))
