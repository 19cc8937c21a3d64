"""A small store: messages, hard links of them, a file of several volumes.

    store.py DIR
"""

import os
import random
import sys


def main(top):
    rng = random.Random(2005)
    boxes = [os.path.join(top, user, box, "cur")
             for user in ("hal", "nora") for box in ("", ".Sent", ".Archive")]
    for box in boxes:
        for name in ("cur", "new", "tmp"):
            os.makedirs(os.path.join(os.path.dirname(box), name))

    def write(path, data, moment):
        with open(path, "wb") as file:
            file.write(data)
        os.chmod(path, 0o600)
        os.utime(path, ns=(0, moment * 10 ** 9 + 123456789))

    for i in range(300):
        name = "%d.M%dP1.mx:2,S" % (1125288600 + i * 9973, i)
        size = 90000 if i % 50 == 0 else rng.choice((500, 2000, 3000, 20000))
        path = os.path.join(rng.choice(boxes), name)
        write(path, b"Subject: %d\n\n" % i + rng.randbytes(size).hex()
              .encode()[:size], 1125288600 + i * 9973)
        # Far apart in the order of packing: in different volumes.
        if i % 15 == 0:
            os.link(path, os.path.join(rng.choice(boxes), "copy.%d" % i))
    write(os.path.join(top, "hal", "attachment"), rng.randbytes(900000),
          1125288600)
    os.symlink("hal/attachment", os.path.join(top, "link"))
    os.makedirs(os.path.join(top, "empty", "emptier"))
    for path, _, _ in os.walk(top, topdown=False):
        os.utime(path, ns=(0, 1125288600 * 10 ** 9))


main(sys.argv[1])
