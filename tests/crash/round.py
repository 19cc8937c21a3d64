"""A round of changes of the store that store.py makes, and what became of it.

    round.py change STORE [SEED]  some 150 changes of all kinds
    round.py kept OLD DIR...      every content of the tree OLD is in one of
                                  the others; prints the paths of those lost
"""

import hashlib
import os
import random
import sys


def messages(top):
    return sorted(os.path.join(folder, name)
                  for folder, _, names in os.walk(top) for name in names
                  if os.path.basename(folder) == "cur"
                  and name[0].isdigit())


def write(path, data, mode="wb"):
    with open(path, mode) as file:
        file.write(data)


def text(rng, size):
    return b"Subject: new\n\n" + rng.randbytes(size)


def change(top, seed):
    rng = random.Random(seed)
    boxes = sorted(folder for folder, _, _ in os.walk(top)
                   if os.path.basename(folder) == "cur")
    # Those with one name only, so that no change is two.
    paths = [path for path in messages(top) if os.stat(path).st_nlink == 1]
    rng.shuffle(paths)
    take = iter(paths)
    for path in (next(take) for _ in range(40)):
        os.rename(path, path + rng.choice("FRT"))
    for path in (next(take) for _ in range(25)):
        box = rng.choice([box for box in boxes if box != os.path.dirname(path)])
        os.rename(path, os.path.join(box, "%d.moved" % rng.getrandbits(40)))
    for path in (next(take) for _ in range(15)):
        os.unlink(path)
    for path in (next(take) for _ in range(5)):
        write(path, text(rng, 3000))
    for path in (next(take) for _ in range(5)):
        os.chmod(path, 0o640)
    for path in (next(take) for _ in range(3)):
        os.link(path, os.path.join(rng.choice(boxes),
                                   "9%d.linked" % rng.getrandbits(40)))
    for i in range(40):
        size = 200000 if i % 8 == 0 else rng.choice((600, 3000, 15000, 50000))
        box = rng.choice(boxes)
        write(os.path.join(os.path.dirname(box), "new", "8%d.M%d.mx" % (
            rng.getrandbits(40), i)), text(rng, size))
    # The same content at two new places crosses once.
    for name in ("1.twin", "2.twin"):
        write(os.path.join(boxes[0], name), b"twin\n" * 20000)
    write(os.path.join(top, "hal", "attachment"), rng.randbytes(400000), "ab")
    write(os.path.join(top, "hal", "mbox"), rng.randbytes(1500000))
    # Another round takes them back.
    for old, new in (("nora/.Archive", "nora/.Old"),
                     ("hal/.Sent", "nora/.From hal")):
        if not os.path.exists(os.path.join(top, old)):
            old, new = new, old
        os.rename(os.path.join(top, old), os.path.join(top, new))
    if os.path.isdir(os.path.join(top, "empty", "emptier")):
        os.rmdir(os.path.join(top, "empty", "emptier"))
        write(os.path.join(top, "empty", "emptier"), b"a file now\n")
    else:
        os.unlink(os.path.join(top, "empty", "emptier"))
        os.mkdir(os.path.join(top, "empty", "emptier"))
    for name in ("cur", "new"):
        os.makedirs(os.path.join(top, "hal", ".New", name), exist_ok=True)
    os.unlink(os.path.join(top, "link"))
    os.symlink("hal/mbox", os.path.join(top, "link"))


def contents(top):
    for folder, _, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            if not os.path.islink(path):
                with open(path, "rb") as file:
                    yield hashlib.sha256(file.read()).digest(), path


def kept(old, *others):
    there = {digest for top in others for digest, _ in contents(top)}
    lost = [path for digest, path in contents(old) if digest not in there]
    print("\n".join(lost), end="\n" if lost else "")
    return 1 if lost else 0


def main(arguments):
    if arguments[0] == "change":
        change(arguments[1], int((arguments[2:] or ["2005"])[0]))
        return 0
    return kept(*arguments[1:])


sys.exit(main(sys.argv[1:]))
