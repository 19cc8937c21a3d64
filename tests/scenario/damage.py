#!/usr/bin/python3
"""Damages a seed at random and holds verify and repair to what parity allows.

damage.py PROGRAM SIGNER MEDIUM WORK ROUNDS SEED

What can be repaired is found out here by comparing bytes with the good seed,
column by column, with nothing of the program's: a column of a group is within
parity if at most m of its files have a bad block there.  Prints a line of
figures; the exit status is 1 if a round went otherwise."""
import filecmp
import json
import os
import random
import shutil
import subprocess
import sys

BLOCK = 65536
TWICE = ["MEDIUM", "CHECKSUMS", "CHECKSUMS.blocks", "catalog.sqlite.zst.age"]


class Seed:
    """The good one, in memory."""

    def __init__(self, medium):
        self.id = next(n for n in sorted(os.listdir(
            os.path.join(medium, "causeway"))) if len(n) == 16)
        self.folder = os.path.join(medium, "causeway", self.id)
        self.groups, self.data, listed = {}, {}, []
        with open(os.path.join(self.folder, "MANIFEST"),
                  encoding="ascii") as file:
            for line in file:
                words = line.split()
                if words[0] == "parity":
                    self.k, self.m = int(words[1]), int(words[2])
                elif words[0] == "group":
                    self.groups[int(words[1])] = words[2:]
                elif words[0] == "file":
                    listed.append(words[4])
        for name in listed:
            if name[0] in "0123456789":
                with open(os.path.join(self.folder, name), "rb") as file:
                    self.data[name] = file.read()
        self.files = sorted(self.data)
        self.group_of = {}
        for group, volumes in self.groups.items():
            names = ["%06d.tar.zst.age" % int(v) for v in volumes]
            names += ["%06d.%02d.rs" % (group, j + 1) for j in range(self.m)]
            self.groups[group] = names
            for name in names:
                self.group_of[name] = group
        assert set(self.files) == set(self.group_of)


def blocks(data):
    return range((len(data) + BLOCK - 1) // BLOCK)


class Round:
    """One damaged copy."""

    def __init__(self, seed, folder, rng):
        self.seed, self.folder, self.rng = seed, folder, rng
        self.log = []
        self.no_blocks = False

    def path(self, name):
        return os.path.join(self.folder, name)

    def size(self, name):
        try:
            return os.path.getsize(self.path(name))
        except FileNotFoundError:
            return 0

    def overwrite(self, name, offset, data):
        data = data[:max(self.size(name) - offset, 0)]
        if data:
            with open(self.path(name), "r+b") as file:
                file.seek(offset)
                file.write(data)

    def place(self, align=1, name=None):
        name = name or self.rng.choice(self.seed.files)
        size = max(self.size(name), 1)
        return name, self.rng.randrange(size) // align * align

    # ---- kinds of damage ----

    def flips(self):
        for _ in range(self.rng.randint(1, 12)):
            name, offset = self.place()
            if self.size(name) == 0:
                continue
            with open(self.path(name), "rb") as file:
                file.seek(offset)
                byte = file.read(1)[0]
            self.overwrite(name, offset,
                           bytes([byte ^ 1 << self.rng.randrange(8)]))

    def zeroed(self):
        for _ in range(self.rng.randint(1, 4)):
            sector = self.rng.choice([512, 4096])
            name, offset = self.place(sector)
            self.overwrite(name, offset, bytes(sector))

    def swapped(self):
        sector = self.rng.choice([512, 4096, BLOCK])
        first, second = self.place(sector), self.place(sector)
        found = []
        for name, offset in (first, second):
            if self.size(name) == 0:
                return
            with open(self.path(name), "rb") as file:
                file.seek(offset)
                found.append(file.read(sector))
        self.overwrite(*first, found[1])
        self.overwrite(*second, found[0])

    def burst(self):
        """Garbage over a range of the disk, from file to file."""
        left = int(512 * 2 ** self.rng.uniform(0, 13))
        name, offset = self.place()
        at = self.seed.files.index(name)
        while left > 0 and at < len(self.seed.files):
            name = self.seed.files[at]
            now = min(left, max(self.size(name) - offset, 0))
            self.overwrite(name, offset, self.rng.randbytes(now))
            left, offset, at = left - now, 0, at + 1

    def cut(self):
        name, offset = self.place()
        if self.size(name):
            os.truncate(self.path(name), offset)

    def grown(self):
        name, _ = self.place()
        if self.size(name):
            with open(self.path(name), "ab") as file:
                file.write(self.rng.randbytes(self.rng.randint(1, 100000)))

    def removed(self):
        name, _ = self.place()
        if os.path.exists(self.path(name)):
            os.unlink(self.path(name))

    def copies(self):
        """One of the two of a small file."""
        name = self.rng.choice(TWICE + ["MANIFEST", "MANIFEST.minisig"])
        # A manifest that was changed is no damage: see 50-hostile.
        if not name.startswith("MANIFEST") and self.rng.random() < 0.5:
            path = self.path(name)
            other = self.path("copy/" + name)
        else:
            path = self.path("copy/" + name)
            other = self.path(name)
        # Where the other one is bad too, both would be.
        if not os.path.exists(path) or not filecmp.cmp(
                path, other, shallow=False):
            return
        size = os.path.getsize(path)
        if self.rng.random() < 0.5 or size == 0:
            os.unlink(path)
        else:
            offset = self.rng.randrange(size)
            with open(path, "r+b") as file:
                file.seek(offset)
                byte = file.read(1)[0]
                file.seek(offset)
                file.write(bytes([byte ^ 0x20]))

    def lost_blocks(self):
        """Both lists of digests: then files count whole."""
        for name in ("CHECKSUMS.blocks", "copy/CHECKSUMS.blocks"):
            if os.path.exists(self.path(name)):
                os.unlink(self.path(name))
        self.no_blocks = True

    KINDS = ([flips] * 5 + [zeroed] * 4 + [swapped] * 4 + [burst] * 5 +
             [cut] * 2 + [removed] * 2 + [grown] + [copies] * 3 +
             [lost_blocks])

    def damage(self):
        kinds = self.rng.choices(self.KINDS, k=self.rng.choice([1, 1, 2, 3]))
        for kind in kinds:
            self.log.append(kind.__name__)
            kind(self)

    # ---- what is to be expected ----

    def look(self):
        """bad[name]: blocks that are not as they were; changed: any file."""
        self.bad, self.changed = {}, False
        for name, good in self.seed.data.items():
            try:
                with open(self.path(name), "rb") as file:
                    now = file.read()
            except FileNotFoundError:
                now = b""
                self.changed = True
            if now == good:
                continue
            self.changed = True
            bad = {b for b in blocks(good)
                   if now[b * BLOCK:(b + 1) * BLOCK][
                       :len(good) - b * BLOCK] !=
                   good[b * BLOCK:(b + 1) * BLOCK]}
            # Without digests of blocks a file counts by what it is as a
            # whole; if it has only grown, nothing of it is lost.
            if bad and self.no_blocks:
                bad = set(blocks(good))
            if bad:
                self.bad[name] = bad
        for where, _, names in os.walk(self.seed.folder):
            for name in names:
                path = os.path.relpath(os.path.join(where, name),
                                       self.seed.folder)
                if path in self.seed.data or path == "CUSTODY":
                    continue
                if not os.path.exists(self.path(path)) or not filecmp.cmp(
                        os.path.join(where, name), self.path(path),
                        shallow=False):
                    self.changed = True
        self.lost = {}
        for names in self.seed.groups.values():
            columns = {}
            for name in names:
                for block in self.bad.get(name, ()):
                    columns.setdefault(block, []).append(name)
            for block, bad in columns.items():
                if len(bad) > self.seed.m:
                    for name in bad:
                        self.lost.setdefault(name, set()).add(block)


class Trouble(Exception):
    pass


def run(*args):
    done = subprocess.run(args, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=False)
    try:
        return done.returncode, json.loads(done.stdout)
    except ValueError:
        raise Trouble("%s: status %d, no JSON: %s" % (
            args[2], done.returncode, done.stderr.decode()[-600:])) from None


def expect(what, found, wanted, answer=None):
    if found != wanted:
        raise Trouble("%s is %r, not %r; %s" % (
            what, found, wanted, json.dumps(answer)[:1500]))


def differing(seed, folder):
    """Files that are not as they were."""
    wrong = set()
    for where, _, names in os.walk(seed.folder):
        for name in names:
            path = os.path.relpath(os.path.join(where, name), seed.folder)
            other = os.path.join(folder, path)
            if path != "CUSTODY" and (
                    not os.path.exists(other) or not filecmp.cmp(
                        os.path.join(where, name), other, shallow=False)):
                wrong.add(path)
    for where, _, names in os.walk(folder):
        for name in names:
            path = os.path.relpath(os.path.join(where, name), folder)
            if not os.path.exists(os.path.join(seed.folder, path)):
                wrong.add(path)
    return wrong


def judge(one, program, signer, medium):
    """Runs verify, repair, verify; returns what the round was."""
    status, answer = run(program, "--json", "verify", medium, "--signer",
                         signer, "--no-custody")
    if not one.changed:
        expect("verify of good bytes", (status, answer["status"]), (0, "ok"))
        return "good"
    wanted = (4, "damaged") if one.lost else (3, "repairable")
    expect("verify", (status, answer["status"]), wanted, answer)
    status, answer = run(program, "--json", "repair", medium, "--signer",
                         signer)
    if not one.lost:
        expect("repair", (status, answer["status"]), (0, "ok"), answer)
        expect("what differs", differing(one.seed, one.folder), set())
        expect("unrepairable", answer["unrepairable"], [])
        status, answer = run(program, "--json", "verify", medium, "--signer",
                             signer, "--no-custody")
        expect("verify after it", (status, answer["status"]), (0, "ok"),
               answer)
        return "repaired"
    expect("repair", (status, answer["status"]), (4, "damaged"), answer)
    left = differing(one.seed, one.folder)
    # What CHECKSUMS.blocks says can't be made again without the files.
    may = set(one.lost)
    if one.no_blocks:
        may |= {"CHECKSUMS.blocks", "copy/CHECKSUMS.blocks"}
    if not left <= may or not set(one.lost) <= left:
        raise Trouble("left bad %s, expected %s; %s" % (
            sorted(left), sorted(may), json.dumps(answer)[:1500]))
    said = {}
    for item in answer["unrepairable"]:
        first = item["offset"] // BLOCK
        end = (item["offset"] + item["length"] + BLOCK - 1) // BLOCK
        said.setdefault(item["file"], set()).update(range(first, end))
    for name, lost in one.lost.items():
        if not lost <= said.get(name, set()):
            raise Trouble("of %s blocks %s are lost, and %s said" % (
                name, sorted(lost), sorted(said.get(name, ()))))
    status, answer = run(program, "--json", "verify", medium, "--signer",
                         signer, "--no-custody")
    expect("verify after it", (status, answer["status"]), (4, "damaged"),
           answer)
    return "beyond"


def main(program, signer, medium, work, rounds, number):
    seed = Seed(medium)
    rng = random.Random(int(number))
    counts = {"repaired": 0, "beyond": 0, "good": 0}
    bad_blocks = failed = 0
    for n in range(int(rounds)):
        copy = os.path.join(work, "medium")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(medium, copy)
        one = Round(seed, os.path.join(copy, "causeway", seed.id), rng)
        one.damage()
        one.look()
        bad_blocks += sum(len(b) for b in one.bad.values())
        try:
            counts[judge(one, program, signer, copy)] += 1
        except Trouble as trouble:
            failed += 1
            print("round %d (%s): %s" % (n, ", ".join(one.log), trouble))
            if failed == 5:
                break
    print("%d+%d, %d volumes of %d: %d rounds, %d bad blocks; "
          "%d repaired to identical bytes, %d beyond parity and told, "
          "%d good all the same; %d otherwise" % (
              seed.k, seed.m, len(seed.files) - seed.m * len(seed.groups),
              max(map(len, seed.data.values())), sum(counts.values()) + failed,
              bad_blocks, counts["repaired"], counts["beyond"],
              counts["good"], failed))
    return 1 if failed else 0


sys.exit(main(*sys.argv[1:]))
