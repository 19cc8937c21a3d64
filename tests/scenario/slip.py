#!/usr/bin/env python3
"""Draws the code of a packing slip as a picture: SLIP PBM.  Half blocks are two
modules, one above the other."""
import sys

upper = {' ': 0, '\u2580': 1, '\u2584': 0, '\u2588': 1}
lower = {' ': 0, '\u2580': 0, '\u2584': 1, '\u2588': 1}
scale = 6

with open(sys.argv[1], encoding='utf-8') as file:
    lines = [line.rstrip('\n') for line in file]
# Behind the last rule there is nothing but the code.
start = max(i for i, line in enumerate(lines) if line.startswith('----'))
lines = [line for line in lines[start + 1:]]
assert all(c in upper for line in lines for c in line)
width = max(map(len, lines))
rows = []
for line in lines:
    line = line.ljust(width)
    rows.append([upper[c] for c in line])
    rows.append([lower[c] for c in line])
with open(sys.argv[2], 'w') as out:
    out.write(f'P1\n{width * scale} {len(rows) * scale}\n')
    for row in rows:
        text = ' '.join(str(bit) for bit in row for _ in range(scale))
        out.write((text + '\n') * scale)
