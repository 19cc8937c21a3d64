"""Changes of a Maildir store as its servers and users make them.

    changes.py flags TREE SEED N        other flags on N messages
    changes.py deliver TREE SEED N [D]  N new messages, with their lines in
					dovecot-uidlist; copies of them into D
    changes.py move TREE SEED N         N messages to another folder
    changes.py delete TREE SEED N       N messages gone
    changes.py day TREE SEED D          1% flags, 0.3% new, 0.2% moved, 0.2%
					deleted; prints the number of changes

The same seed makes the same changes of the same tree.
"""

import os
import random
import sys

SYLLABLES = ["ba", "ko", "ri", "tun", "mel", "sa", "vor", "lin", "do", "fe",
             "gar", "his", "nel", "po", "quan", "ster", "ul", "wim", "ya", "zo"]


def messages(tree):
    found = []
    for directory, subdirectories, names in os.walk(tree):
        subdirectories.sort()
        if os.path.basename(directory) in ("cur", "new"):
            found += [os.path.join(directory, name) for name in sorted(names)]
    return found


def folders(tree):
    return sorted(directory[:-4] for directory, _, _ in os.walk(tree)
                  if directory.endswith("/cur"))


def account(path, tree):
    return os.path.relpath(path, tree).split("/", 1)[0]


def words(rng, count):
    return " ".join("".join(rng.choices(SYLLABLES, k=rng.randint(1, 4)))
                    for _ in range(count))


def body(rng):
    lines = rng.randint(5, 120)
    return "\n".join(words(rng, rng.randint(6, 11)) for _ in range(lines))


def change_flags(rng, tree, count):
    inside = [path for path in messages(tree) if "/cur/" in path]
    for path in rng.sample(inside, count):
        base, _, flags = path.partition(":2,")
        other = set(flags) ^ set(rng.sample("FRST", 1))
        os.rename(path, base + ":2," + "".join(sorted(other)))


def add_uids(box, bases):
    """Appends their lines, as Dovecot does while the file is not long."""
    path = os.path.join(box, "dovecot-uidlist")
    if not os.path.exists(path):
        return
    with open(path, "r+", encoding="utf-8") as file:
        lines = file.read().splitlines()
        uid = max([int(line.split()[0]) for line in lines[1:]] or [0])
        for i, base in enumerate(bases, uid + 1):
            file.write("%d :%s\n" % (i, base))


def deliver(rng, tree, count, copies=None):
    inboxes = [box for box in folders(tree)
               if "/" not in os.path.relpath(box, tree)
               or not os.path.basename(box).startswith(".")]
    uids = {}
    for i in range(count):
        box = rng.choice(inboxes)
        data = ("Return-Path: <%s@bay.example>\nReceived: from mx.bay.example "
                "by metairie.example; Mon, 29 Aug 2005 06:10:%02d +0000\n"
                "Message-ID: <%x@bay.example>\nDate: Mon, 29 Aug 2005 06:10:00"
                " +0000\nFrom: %s <%s@bay.example>\nTo: %s@metairie.example\n"
                "Subject: %s\n\n%s\n" % (
                    words(rng, 1), i % 60, rng.getrandbits(96),
                    words(rng, 2).title(), words(rng, 1), words(rng, 1),
                    words(rng, 5), body(rng))).encode()
        base = "%d.M%06dP%d.mail1,S=%d,W=%d" % (
            1748736000 + rng.randrange(86400), rng.randrange(10 ** 6),
            rng.randrange(2, 32768), len(data), len(data) + data.count(b"\n"))
        path = os.path.join(box, "new", base)
        with open(path, "wb") as file:
            file.write(data)
        os.chmod(path, 0o600)
        owner = os.stat(box)
        os.chown(path, owner.st_uid, owner.st_gid)
        uids.setdefault(box, []).append(base)
        if copies:
            with open(os.path.join(copies, "%d-%s" % (i, base)), "wb") as file:
                file.write(data)
    for box, bases in uids.items():
        add_uids(box, bases)


def move(rng, tree, count):
    boxes = {}
    for box in folders(tree):
        boxes.setdefault(account(box, tree), []).append(box)
    paths = [path for path in messages(tree)
             if len(boxes[account(path, tree)]) > 1]
    for path in rng.sample(paths, count):
        here = os.path.dirname(os.path.dirname(path))
        there = rng.choice([box for box in boxes[account(path, tree)]
                            if box != here])
        # A server gives it another name, and the folder a line.
        base, _, flags = os.path.basename(path).partition(":2,")
        base = "%d.M%06dP%d.mail1%s" % (
            1748736000 + rng.randrange(86400), rng.randrange(10 ** 6),
            rng.randrange(2, 32768),
            base[base.index(","):] if "," in base else "")
        os.rename(path, os.path.join(there, "cur", base + ":2," + flags))
        add_uids(there, [base])


def delete(rng, tree, count):
    for path in rng.sample(messages(tree), count):
        os.unlink(path)


def main(arguments):
    command, tree, seed, *rest = arguments
    rng = random.Random(int(seed))
    if command == "flags":
        change_flags(rng, tree, int(rest[0]))
    elif command == "deliver":
        deliver(rng, tree, int(rest[0]), *rest[1:])
    elif command == "move":
        move(rng, tree, int(rest[0]))
    elif command == "delete":
        delete(rng, tree, int(rest[0]))
    elif command == "day":
        count = len(messages(tree))
        numbers = [round(count * share) for share in (.01, .003, .002, .002)]
        change_flags(rng, tree, numbers[0])
        deliver(rng, tree, numbers[1], rest[0])
        move(rng, tree, numbers[2])
        delete(rng, tree, numbers[3])
        print(sum(numbers))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
