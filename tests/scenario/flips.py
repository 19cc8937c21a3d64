"""Flips bytes of a seed and looks how verify and receive take it.

    flips.py PROGRAM HOME MEDIUM STORE WORK STEP [FILE...]

Every STEPth byte of each small file of MEDIUM's only seed, of the catalog's
and the volumes' headers, and a few of their bodies, is changed, one at a time:
in the file, in its second copy, in both.  HOME is a site that may receive the
seed, STORE the tree it holds; WORK an empty directory.  Prints a line for each
kind of flip, and one for each wrong answer; the exit status is 1 if there was
one.
"""

import collections
import concurrent.futures
import filecmp
import json
import os
import shutil
import subprocess
import sys

HEADER = 400  # an age header of one recipient, and the first chunk's beginning

# Which statuses are right, of a flip in the file alone, in its copy alone, in
# all there are.
VERIFY = {
    "MANIFEST": ({5}, {3}, {5}),
    "MANIFEST.minisig": ({5}, {3}, {5}),
    # What both follow from is in the manifest, and on the medium.
    "MEDIUM": ({3}, {3}, {3}),
    "CHECKSUMS": ({3}, {3}, {3}),
    "CHECKSUMS.blocks": ({3}, {3}, {3}),
    "catalog.sqlite.zst.age": ({3}, {3}, {4}),
    "CUSTODY": (None, None, {4, 5}),
    "volume": (None, None, {4}),
}
# MEDIUM, checksums and CUSTODY are not needed to receive what is whole.
RECEIVE = {
    "MANIFEST": ({0}, {0}, {5}),
    "MANIFEST.minisig": ({0}, {0}, {5}),
    "MEDIUM": ({0}, {0}, {0}),
    "CHECKSUMS": ({0}, {0}, {0}),
    "CHECKSUMS.blocks": ({0}, {0}, {0}),
    "catalog.sqlite.zst.age": ({0}, {0}, {4}),
    "CUSTODY": (None, None, {0}),
    "volume": (None, None, {4}),
}
# With parity a flip in a volume is made good; in a shard it harms nothing.
VERIFY_PARITY = {"volume": (None, None, {3})}
RECEIVE_PARITY = {"volume": (None, None, {0})}
ONLY_FILE, ONLY_COPY, ALL = range(3)


def is_right(what, kind, which, status, offset, size):
    """Two places are special: minisign's untrusted comment, which nothing
    signs, so that only a difference of the copies shows; and the last line
    feed of CUSTODY, without which the line is one that was cut off."""
    if kind == "MANIFEST.minisig" and offset < 41 and status in (
            {3, 5} if which != ALL and what == "verify" else {0, 5}):
        return True
    if kind == "CUSTODY" and offset == size - 1 and status == 0:
        return True
    return status in (VERIFY if what == "verify" else RECEIVE)[kind][which]


def run(*arguments):
    done = subprocess.run(arguments, capture_output=True, check=False,
                          stdin=subprocess.DEVNULL)
    text = done.stderr.decode("utf-8", "replace")
    problem = None
    if done.returncode < 0 or done.returncode > 8 or "Sanitizer" in text \
            or "runtime error" in text:
        problem = "crashed: " + text[-800:]
    else:
        try:
            answer = json.loads(done.stdout)
            if done.returncode and "error" not in answer:
                problem = "no error in its answer"
        except ValueError:
            problem = "no JSON: %r %s" % (done.stdout[:200], text[:200])
    return done.returncode, problem


def holds_only(tree, store):
    """Everything in tree is in store, bytes and all."""
    for directory, subdirs, files in os.walk(tree):
        within = os.path.join(store, os.path.relpath(directory, tree))
        for name in subdirs + files:
            here, there = (os.path.join(d, name) for d in (directory, within))
            if not os.path.lexists(there) or \
                    os.path.islink(here) != os.path.islink(there):
                return False
            if os.path.islink(here):
                if os.readlink(here) != os.readlink(there):
                    return False
            elif os.path.isfile(here) and \
                    not filecmp.cmp(here, there, shallow=False):
                return False
    return True


class Place:
    """A copy of everything that one thread may spoil."""

    def __init__(self, work, number, program, home, medium, store):
        self.top = os.path.join(work, "place%d" % number)
        self.program, self.pristine, self.store = program, home, store
        self.medium = os.path.join(self.top, "medium")
        shutil.copytree(medium, self.medium)
        # A verify writes down how far it came: in a home of this thread's.
        self.verifier = os.path.join(self.top, "verifier")
        shutil.copytree(home, self.verifier)
        folder = os.path.join(self.medium, "causeway")
        self.seed = os.path.join(folder, next(
            name for name in os.listdir(folder) if len(name) == 16))

    def ask(self, names, offset):
        saved = []
        try:
            for name in names:
                path = os.path.join(self.seed, name)
                with open(path, "r+b") as file:
                    data = file.read()
                    saved.append((path, data))
                    file.seek(offset)
                    file.write(bytes([data[offset] ^ 1 << offset % 8]))
            return self.verify(), self.receive()
        finally:
            for path, data in saved:
                with open(path, "wb") as file:
                    file.write(data)

    def verify(self):
        return run(self.program, "--home", self.verifier, "--json", "verify",
                   "--no-custody", "--cached", self.medium)

    def receive(self):
        home = os.path.join(self.top, "home")
        root = os.path.join(self.top, "root")
        custody = os.path.join(self.seed, "CUSTODY")
        for tree in (home, root):
            shutil.rmtree(tree, ignore_errors=True)
        shutil.copytree(self.pristine, home)
        with open(custody, "rb") as file:
            before = file.read()
        status, problem = run(self.program, "--home", home, "--json",
                              "receive", self.medium, "--root", root)
        with open(custody, "wb") as file:
            file.write(before)
        if problem is None and os.path.isdir(root):
            if not holds_only(root, self.store):
                problem = "something is there that is not in the store"
            elif status == 0 and not holds_only(self.store, root):
                problem = "something is missing though it said 0"
            elif status == 5 and os.listdir(root):
                problem = "it wrote something though it does not trust it"
        return status, problem


def flips(seed, step, only):
    """(kind, which, names, offset, size), for each flip."""
    for name in sorted(os.listdir(seed)):
        if name == "copy" or (only and name not in only):
            continue
        kind = "volume" if name[0] == "0" else name
        size = os.path.getsize(os.path.join(seed, name))
        is_large = name.endswith((".age", ".rs"))
        offsets = list(range(0, min(size, HEADER) if is_large else size, step))
        if is_large:
            offsets += range(HEADER, size, max(1, size // 20 * step))
        if offsets[-1] != size - 1:
            offsets.append(size - 1)
        copy = os.path.join("copy", name)
        has_copy = os.path.exists(os.path.join(seed, copy))
        for offset in offsets:
            yield kind, ALL, [name] + [copy] * has_copy, offset, size
            if has_copy:
                which = offset // step % 2
                yield kind, which, [(name, copy)[which]], offset, size


def main(program, home, medium, store, work, step, *only):
    workers = os.cpu_count() or 1
    places = [Place(work, i, program, home, medium, store)
              for i in range(workers)]
    counts = collections.Counter()
    wrong = 0
    if any(name.endswith(".rs") for name in os.listdir(places[0].seed)):
        VERIFY.update(VERIFY_PARITY)
        RECEIVE.update(RECEIVE_PARITY)

    def do(flip):
        _, _, names, offset, _ = flip
        place = places.pop()
        try:
            return flip, place.ask(names, offset)
        finally:
            places.append(place)

    todo = list(flips(places[0].seed, int(step), only))
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for (kind, which, names, offset, size), answers in pool.map(do, todo):
            for what, (status, problem) in zip(("verify", "receive"), answers):
                counts[what, kind, which, status] += 1
                if problem is None and not is_right(
                        what, kind, which, status, offset, size):
                    problem = "not as expected"
                if problem is not None:
                    wrong += 1
                    print("%s, byte %d of %s: status %d, %s" % (
                        what, offset, " and ".join(names), status, problem))
    for (what, kind, which, status), times in sorted(counts.items()):
        print("%s, %s%s: %d times status %d" % (
            what, kind, (" alone", "'s copy", "")[which], times, status))
    print("%d flips, %d wrong answers" % (len(todo), wrong))
    sys.exit(1 if wrong or not todo else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
