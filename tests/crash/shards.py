"""Looks whether the parity of a seed is what its volumes give.

    shards.py FOLDER...    the seed's folders (SEED-ID) on all of its media

Written from formats/parity/SPEC.md alone: every volume is in a group, every
group has its shards, each shard is right byte for byte; groups lie on one
medium, or with survive-media each file of a group on another one.
"""
import os
import sys

# GF(2^8) with x^8 + x^4 + x^3 + x^2 + 1
exp, log = [0] * 512, [0] * 256
x = 1
for i in range(255):
    exp[i] = exp[i + 255] = x
    log[x] = i
    x = x << 1 ^ (0x11d if x & 0x80 else 0)


def times(a):
    return bytes(exp[log[a] + log[b]] if a and b else 0 for b in range(256))


def inverse(a):
    return exp[255 - log[a]]


tables = {}


def scaled(data, factor):
    if factor not in tables:
        tables[factor] = times(factor)
    return data.translate(tables[factor])


def add(a, b):
    n = max(len(a), len(b))
    return (int.from_bytes(a.ljust(n, b'\0'), 'little')
            ^ int.from_bytes(b.ljust(n, b'\0'), 'little')).to_bytes(n, 'little')


def fail(text):
    print(text)
    sys.exit(1)


def main():
    files, manifest = {}, None
    for folder in sys.argv[1:]:
        with open(os.path.join(folder, 'MANIFEST'), encoding='ascii') as f:
            text = f.read()
        if manifest not in (None, text):
            fail('the manifests differ')
        manifest = text
        for name in os.listdir(folder):
            if name.endswith(('.rs', '.age')) and name[0].isdigit():
                if name in files:
                    fail(name + ' is there twice')
                files[name] = (folder, os.path.join(folder, name))
    groups, listed, k, m, survive = {}, set(), 0, 0, 0
    for line in manifest.splitlines():
        words = line.split(' ')
        if words[0] == 'parity':
            k, m = int(words[1]), int(words[2])
        elif words[0] == 'survive-media':
            survive = int(words[1])
        elif words[0] == 'group':
            groups[int(words[1])] = [int(w) for w in words[2:]]
        elif words[0] == 'file' and words[4] in files:
            listed.add(words[4])
    if listed != set(files):
        fail('not listed: %s' % sorted(set(files) - listed))
    if not groups:
        fail('there are no groups')
    seen = []
    for number, members in groups.items():
        if not 1 <= len(members) <= k:
            fail('group %d has %d members' % (number, len(members)))
        seen += members
        names = ['%06d.tar.zst.age' % v for v in members]
        shards = ['%06d.%02d.rs' % (number, j + 1) for j in range(m)]
        places = [files[name][0] for name in names + shards]
        if survive and len(set(places)) != len(places):
            fail('group %d has two files on one medium' % number)
        if not survive and len(set(places)) != 1:
            fail('group %d is not on one medium' % number)
        data = []
        for name in names:
            with open(files[name][1], 'rb') as f:
                data.append(f.read())
        for j, name in enumerate(shards):
            want = b''
            for row, one in enumerate(data):
                want = add(want, scaled(one, inverse((k + j) ^ row)))
            with open(files[name][1], 'rb') as f:
                if f.read() != want:
                    fail('%s is wrong' % name)
    volumes = [name for name in files if name.endswith('.age')]
    if sorted('%06d.tar.zst.age' % v for v in seen) != sorted(volumes):
        fail('not all volumes are in groups')
    if len(files) != len(volumes) + m * len(groups):
        fail('there are shards of no group')


main()
