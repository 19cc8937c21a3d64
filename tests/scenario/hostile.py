"""Seeds that a paired site signed, but that no Causeway wrote; and media that
somebody changed on their way.  Each is verified and received.

    hostile.py PROGRAM HOME MEDIUM WORK [--archives DIR] [--only TEXT]

HOME is a site that may receive the seed on MEDIUM, with WORK/keys/sign.key
(minisign, paired), WORK/keys/other.key (not paired) and WORK/keys/age.key (of
HOME) beside it.  What must hold for all: the right status, no crash, nothing
outside the root, in the root nothing but what catalog and digest allow, memory
and time within bounds.  Where no catalog guards the members, as with
--without-catalog, the root holds what they say, and still nothing outside
changes.  Prints a line for each; the status is 1 if one is wrong.
"""

import argparse
import concurrent.futures
import hashlib
import json
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time

import forge
from forge import CATALOG, END, VOLUME, filled, framed, header, member, \
    raw_pax, zeros_frame, zstd

SECONDS = 300
MEMORY = 768 << 10  # KiB, with what the sanitizers take
GOOD = b"From: a@metairie.example\n\ngood\n"
CASES = []


def case(claim, receive=(4,), verify=(0,), only=()):
    """The statuses that are right; `only` are paths that may be there
    besides "good", with any content."""
    def add(function):
        CASES.append((claim, function, set(receive), set(verify), set(only)))
        return function
    return add


# ---- what is right ----

@case("an honest seed that stock tools made", receive=[0], only=["sub/x"])
def _(s):
    s.honest("sub/x", b"x" * 100000, volume=2)
    s.tar(member(s.at("sub"), kind="d", mode=0o755))


@case("a symlink that points outside is only a symlink", receive=[0],
      only=["out"])
def _(s):
    s.catalog.put(s.at("out"), "l", b"../outside")
    s.tar(member(s.at("out"), kind="l", target="../outside"))


@case("a file that changed while it was packed, in one volume", receive=[0],
      only=["x"])
def _(s):
    s.tar(member(s.at("x"), b"older, and longer"))
    s.honest("x", b"newer")
    s.catalog.db.execute("INSERT INTO superseded VALUES(1,?)",
                         (os.fsencode(s.at("x")),))


@case("a hard link to a name that went away while it was packed",
      receive=[0], only=["x", "y"])
def _(s):
    s.tar(member(s.at("gone"), b"same"))
    for name in ("x", "y"):
        s.catalog.put(s.at(name), "f", b"same", linkgroup=7)
        s.tar(member(s.at(name), kind="h", target=s.at("gone")))
    s.catalog.db.execute("INSERT INTO superseded VALUES(1,?)",
                         (os.fsencode(s.at("gone")),))


@case("a hard link to a file that changed while it was packed", receive=[0],
      only=["x", "y"])
def _(s):
    s.tar(member(s.at("x"), b"older"))
    s.catalog.put(s.at("y"), "f", b"older")
    s.tar(member(s.at("y"), kind="h", target=s.at("x")))
    s.honest("x", b"newer")
    s.catalog.db.execute("INSERT INTO superseded VALUES(1,?)",
                         (os.fsencode(s.at("x")),))


@case("a file that changed while it was packed, in two", receive=[0],
      only=["x"])
def _(s):
    s.tar(member(s.at("x"), b"older"), volume=2)
    s.honest("x", b"newer")
    s.catalog.db.execute("INSERT INTO superseded VALUES(2,?)",
                         (os.fsencode(s.at("x")),))


# ---- members of volumes ----

def stray(path, kind="f", **options):
    def build(s):
        text = path.replace("ROOT", s.root).replace("ABS", s.absolute)
        s.tar(member(text, b"bad" if kind == "f" else b"", kind, **options))
    return build


for what, path in (("a parent", "../stray"), ("two parents", "../../stray"),
                   ("a parent within", "ROOT/../stray"),
                   ("parents within", "ROOT/sub/../../stray"),
                   ("an absolute path", "ABS"),
                   ("two slashes", "//stray"), ("a dot", "ROOT/./stray"),
                   ("a slash twice", "ROOT//stray"),
                   ("a dot alone", "."), ("a parent alone", ".."),
                   ("another root", "elsewhere/stray"),
                   ("no root", "stray"), ("no catalogued name", "ROOT/stray"),
                   ("a name of 300 bytes", "ROOT/" + "n" * 300),
                   ("a path of 40,000 bytes", "ROOT/" + "d/" * 20000 + "x"),
                   ("a backslash", "ROOT\\..\\stray")):
    case("a member with " + what)(stray(path))

for what, kind in (("device", "c"), ("block device", "b"), ("fifo", "p")):
    case("a %s that nobody listed" % what)(stray("ROOT/stray", kind, device=1))

    def listed(s, kind=kind):
        s.catalog.put(s.at("x"), "f", b"bad")
        s.tar(member(s.at("x"), kind=kind, device=1))
    case("a %s in place of a file" % what)(listed)


@case("a name that a NUL cuts")
def _(s):
    s.tar(raw_pax([(b"path", os.fsencode(s.at("good\0../../stray")))],
                  member("x", b"bad")))


@case("a name that only the pax record makes leave the root")
def _(s):
    s.tar(raw_pax([(b"path", b"../stray")], member(s.at("good"), b"bad")))


@case("a symlink, then a file through it")
def _(s):
    s.tar(member(s.at("way"), kind="l", target=s.outside))
    s.tar(member(s.at("way/stray"), b"bad"))


@case("a listed symlink, then a file through it", only=["way"])
def _(s):
    s.catalog.put(s.at("way"), "l", os.fsencode(s.outside))
    s.tar(member(s.at("way"), kind="l", target=s.outside))
    s.tar(member(s.at("way/stray"), b"bad"))


@case("a symlink in place of a listed directory, then a file through it",
      receive=[4], only=["way", "way/canary"])
def _(s):
    s.catalog.put(s.at("way/canary"), "f", b"bad")
    s.tar(member(s.at("way"), kind="l", target=s.outside))
    s.tar(member(s.at("way/canary"), b"bad"))


@case("a symlink in place of a listed file, which is then written")
def _(s):
    s.catalog.put(s.at("x"), "f", b"bad")
    s.tar(member(s.at("x"), kind="l", target=s.outside + "/canary"))
    s.tar(member(s.at("x"), b"other"))


@case("a symlink with another target than listed", only=["way"])
def _(s):
    s.catalog.put(s.at("way"), "l", b"good")
    s.tar(member(s.at("way"), kind="l", target=s.outside))


for what, target in (("/etc/passwd", "/etc/passwd"),
                     ("a file outside", "../outside/canary"),
                     ("what was never there", "ROOT/never"),
                     ("a directory", "ROOT"), ("itself", "ROOT/x"),
                     ("a parent", ".."),
                     ("a file of other content", "ROOT/good")):
    def hard(s, target=target):
        s.catalog.put(s.at("x"), "f", b"bad")
        s.tar(member(s.at("x"), kind="h",
                     target=target.replace("ROOT", s.root)))
    case("a hard link to " + what)(hard)


@case("a hard link through a symlink to the outside", only=["way"])
def _(s):
    s.catalog.put(s.at("way"), "l", os.fsencode(s.outside))
    s.catalog.put(s.at("x"), "f", b"canary\n")
    s.tar(member(s.at("way"), kind="l", target=s.outside))
    s.tar(member(s.at("x"), kind="h", target=s.at("way/canary")))


@case("a setuid member that is listed without", receive=[0, 4], only=["x"])
def _(s):
    s.catalog.put(s.at("x"), "f", b"x")
    s.tar(member(s.at("x"), b"x", mode=0o4755))


for bits in (0o4755, 0o2755, 0o6755):
    def setuid(s, bits=bits):
        s.catalog.put(s.at("x"), "f", b"x", mode=bits)
        s.tar(member(s.at("x"), b"x", mode=bits))
    case("a file of mode %o" % bits)(setuid)


@case("a file with capabilities")
def _(s):
    number = s.catalog.attrs({b"security.capability": bytes.fromhex(
        "0100000200000000000000000000000000000000")})
    s.catalog.put(s.at("x"), "f", b"x", attrs=number)
    s.tar(raw_pax([(b"SCHILY.xattr.security.capability", b"\1\0\0\2")],
                  member(s.at("x"), b"x")))


@case("a file with an attribute for root alone")
def _(s):
    s.catalog.put(s.at("x"), "f", b"x",
                  attrs=s.catalog.attrs({b"trusted.overlay.opaque": b"y"}))
    s.tar(member(s.at("x"), b"x"))


@case("an ACL that is none", only=["x"])
def _(s):
    s.catalog.put(s.at("x"), "f", b"x",
                  attrs=s.catalog.attrs({}, access=b"user::rwx,oops"))
    s.tar(member(s.at("x"), b"x"))


@case("a name twice, with other content")
def _(s):
    s.tar(member(s.at("good"), GOOD.upper()))


@case("a name twice, with the same content")
def _(s):
    s.tar(member(s.at("good"), GOOD))


@case("a name twice, as a file and as a directory", only=["good"])
def _(s):
    s.tar(member(s.at("good"), kind="d"))


@case("a name twice in two volumes")
def _(s):
    s.tar(member(s.at("good"), GOOD), volume=2)


for what, data in (("longer", GOOD + b"more"), ("shorter", GOOD[:-1]),
                   ("other", GOOD.upper()), ("empty", b"")):
    def differs(s, data=data):
        s.catalog.put(s.at("x"), "f", GOOD)
        s.tar(member(s.at("x"), data))
    case("content %s than listed" % what)(differs)


@case("a listed file that its volume does not hold")
def _(s):
    s.catalog.put(s.at("x"), "f", b"missing")


# As many files are put as are listed.
@case("a listed file that is not there, and one that came twice", only=["x"])
def _(s):
    s.catalog.put(s.at("y"), "f", b"missing")
    s.tar(member(s.at("x"), b"same"))
    s.honest("x", b"same")
    s.catalog.db.execute("INSERT INTO superseded VALUES(1,?)",
                         (os.fsencode(s.at("x")),))


@case("a listed file that is not there, and one under two names", only=["x"])
def _(s):
    s.catalog.put(s.at("y"), "f", b"missing")
    s.honest("x", b"same")
    s.tar(member(s.at("x.causeway-part-0001-of-0001"), b"same"))


@case("a listed file of a volume that is not listed")
def _(s):
    s.catalog.put(s.at("x"), "f", b"missing", volume=7)


@case("a file in another volume than listed")
def _(s):
    s.catalog.put(s.at("x"), "f", b"x", volume=2)
    s.tar(member(s.at("x"), b"x"))
    s.tar(member(s.at(""), kind="d"), volume=2)


@case("a part that is not listed", only=["x"])
def _(s):
    s.catalog.put(s.at("x"), "f", b"x" * 10)
    s.tar(member(s.at("x.causeway-part-0001-of-0002"), b"x" * 5))


def cut(s, pieces, size):
    """A file in parts of volume 1, listed as they should be."""
    whole = b"".join(data for _, data in pieces)[:size].ljust(size, b"y")
    s.catalog.put(s.at("x"), "f", whole)
    for part, data in pieces:
        name = "x.causeway-part-%04d-of-%04d" % (part, len(pieces))
        s.catalog.db.execute("INSERT OR IGNORE INTO part VALUES(1,?,?,?,1)",
                             (b"x", part, len(pieces)))
        s.tar(member(s.at(name), data))


case("a file in parts", receive=[0], only=["x"])(
    lambda s: cut(s, [(1, b"a" * 600), (2, b"b" * 600), (3, b"c")], 1201))
case("parts that reach beyond the file", only=["x"])(
    lambda s: cut(s, [(1, b"a" * 600), (2, b"b" * 6000)], 1200))
case("a last part larger than the file", only=["x"])(
    lambda s: cut(s, [(1, b"a" * 10), (2, b"b" * 600)], 100))
case("parts of other content", only=["x"])(
    lambda s: cut(s, [(1, b"a" * 600), (2, b"b")], 900))


@case("a part of a setuid file")
def _(s):
    cut(s, [(1, b"a" * 600), (2, b"b" * 600)], 1200)
    s.catalog.db.execute("UPDATE entry SET mode=? WHERE name=?",
                         (0o4755, b"x"))


# ---- bombs ----

@case("100 GB of zeros as a member of ten bytes")
def _(s):
    s.catalog.put(s.at("x"), "f", b"0123456789")
    head = b"".join(s.tars[1]) + header(s.at("x"), size=10)
    size = 100 * 10 ** 9
    s.volumes[1] = framed([(zeros_frame(size, first=head), 0)])


@case("100 GB of zeros as a member of 100 GB")
def _(s):
    size = 100 * 10 ** 9
    s.catalog.put(s.at("x"), "f", b"0123456789")
    head = b"".join(s.tars[1]) + header(s.at("x"), size=size)
    s.volumes[1] = framed([(zeros_frame(size, first=head), 0)])


@case("100 GB of zeros in frames of 4 MiB", only=["good"])
def _(s):
    size = 100 * 10 ** 9
    s.catalog.put(s.at("x"), "f", b"0123456789")
    head = b"".join(s.tars[1]) + header(s.at("x"), size=size)
    frame = zstd(bytes(4 << 20))
    s.volumes[1] = framed([(zstd(head), len(head))] +
                          [(frame, 4 << 20)] * (size >> 22))


@case("a hole of 8 TB, listed with ten bytes")
def _(s):
    s.catalog.put(s.at("x"), "f", b"0123456789", sparse=1)
    s.tar(header(s.at("x"), pax={
        "GNU.sparse.major": "1", "GNU.sparse.minor": "0",
        "GNU.sparse.name": s.at("x"),
        "GNU.sparse.realsize": str(8 * 10 ** 12)}, size=512) +
        filled(b"1\n0\n0\n"))


@case("a window of 2 GiB")
def _(s):
    tar = b"".join(s.tars[1]) + END
    s.volumes[1] = framed([(zeros_frame(1 << 20, window=31, first=tar), 0)])


@case("pax headers without end")
def _(s):
    s.tar(raw_pax([(b"comment", bytes(8 << 20))], member(s.at("x"), b"")))


@case("a thousand attributes of a megabyte")
def _(s):
    s.catalog.put(s.at("x"), "f", b"x")
    s.tar(raw_pax([(b"SCHILY.xattr.user.%d" % i, bytes(1 << 20))
                   for i in range(40)], member(s.at("x"), b"x")))


@case("a catalog of 40 GB of zeros")
def _(s):
    s.catalog_frames = [(zeros_frame(1 << 30), 1 << 30)] * 40


@case("a catalog of 40 GB of zeros behind a good one")
def _(s):
    s.catalog.settle()
    s.settle = False
    path = s.catalog.path
    with open(path, "rb") as file:
        data = file.read()
    s.catalog_frames = [(zstd(data), len(data))] + \
        [(zeros_frame(1 << 30), 1 << 30)] * 40


# ---- what is around the tar ----

@case("no end of the archive")
def _(s):
    tar = b"".join(s.tars[1])
    s.volumes[1] = framed([(zstd(tar), len(tar))])


@case("a second archive behind the end")
def _(s):
    tar = b"".join(s.tars[1]) + END + member("../stray", b"bad") + END
    s.volumes[1] = framed([(zstd(tar), len(tar))])


@case("a frame behind the archive")
def _(s):
    tar = b"".join(s.tars[1]) + END
    s.volumes[1] = framed([(zstd(tar), len(tar)), (zstd(b"x" * 9), 9)])


@case("no seek table")
def _(s):
    s.volumes[1] = zstd(b"".join(s.tars[1]) + END)


@case("a seek table that lies")
def _(s):
    tar = b"".join(s.tars[1]) + END
    s.volumes[1] = framed([(zstd(tar), len(tar) + 1)])


@case("an empty volume")
def _(s):
    s.volumes[1] = b""


@case("a volume that is text")
def _(s):
    s.volumes[1] = b"Dear sir,\n" * 1000


@case("a volume sealed for somebody else", receive=[4, 5])
def _(s):
    s.recipient[1] = s.stranger


# ---- the catalog ----

@case("a catalog sealed for somebody else", receive=[5])
def _(s):
    s.recipient["catalog"] = s.stranger


@case("a catalog that is text")
def _(s):
    s.catalog_data = b"Dear sir,\n" * 1000


@case("an empty catalog")
def _(s):
    s.catalog_data = b"\0"


def change(*statements, settle=True):
    def build(s):
        s.settle = settle
        s.catalog.db.execute("PRAGMA foreign_keys=OFF")
        for statement in statements:
            s.catalog.db.execute(statement)
    return build


for what, name in (("..", b".."), (".", b"."), ("a/b", b"a/b"),
                   ("/", b"/"), ("nothing", b""), ("a NUL", b"a\0b"),
                   ("300 bytes", b"n" * 300)):
    def named(s, name=name):
        s.catalog.put(s.at("x"), "f", b"bad", name=name)
        s.tar(member(s.at("x"), b"bad"))
    case("a catalog row named " + what)(named)

    def dir_named(s, name=name):
        s.catalog.put(s.at("d"), "d", name=name)
        s.catalog.db.execute("UPDATE dir SET name=? WHERE name=?",
                             (name, b"d"))
        s.catalog.put(s.at("d/x"), "f", b"bad")
    case("a catalog's directory named " + what)(dir_named)


@case("a file below a symlink, in the catalog")
def _(s):
    s.catalog.put(s.at("way/canary"), "f", b"bad")
    s.catalog.db.execute(
        "UPDATE entry SET kind='l', child=NULL, target=?, mode=511"
        " WHERE name=?", (os.fsencode(s.outside), b"way"))
    s.tar(member(s.at("way"), kind="l", target=s.outside))
    s.tar(member(s.at("way/canary"), b"bad"))


@case("a symlink and a directory of one name, in the catalog")
def _(s):
    s.catalog.put(s.at("way/canary"), "f", b"bad")
    s.catalog.db.execute("INSERT INTO dir VALUES(90,1,?,zeroblob(32),0,0)",
                         (b"way",))
    s.tar(member(s.at("way/canary"), b"bad"))


for claim, sql in (
        ("directories in a circle", [
            "INSERT INTO dir VALUES(5,6,x'61',zeroblob(32),0,0)",
            "INSERT INTO dir VALUES(6,5,x'62',zeroblob(32),0,0)"]),
        ("a directory in itself", [
            "INSERT INTO dir VALUES(5,5,x'61',zeroblob(32),0,0)"]),
        ("a directory without a parent", [
            "INSERT INTO dir VALUES(5,77,x'61',zeroblob(32),0,0)"]),
        ("a root that is a file", [
            "UPDATE entry SET kind='f',child=NULL WHERE dir=0"]),
        ("a root named ..", [
            "UPDATE root SET name='..'", "UPDATE entry SET name=x'2e2e'"
            " WHERE dir=0", "UPDATE dir SET name=x'2e2e' WHERE id=1"]),
        ("a root named a/b", [
            "UPDATE root SET name='a/b'", "UPDATE entry SET name=x'612f62'"
            " WHERE dir=0", "UPDATE dir SET name=x'612f62' WHERE id=1"]),
        ("no root", ["DELETE FROM root"]),
        ("a trigger", ["CREATE TRIGGER t AFTER INSERT ON meta BEGIN DELETE"
                       " FROM entry; END"]),
        ("a view in place of a table", [
            "ALTER TABLE superseded RENAME TO s2",
            "CREATE VIEW superseded AS SELECT * FROM s2"]),
        ("a table more", ["CREATE TABLE more(x)"]),
        ("an index less", ["DROP INDEX entry_gen"]),
        ("another column", ["ALTER TABLE root ADD COLUMN more"]),
        ("a newer version", ["PRAGMA user_version=99"]),
        ("another program's mark", ["PRAGMA application_id=1"]),
        ("the store's name as a path", [
            "UPDATE meta SET value='../../stray' WHERE key='name'"]),
        ("no name", ["DELETE FROM meta WHERE key='name'"]),
        ("a number as name", ["UPDATE meta SET value=1 WHERE key='name'"]),
        ("another store's id", [
            "UPDATE meta SET value=zeroblob(16) WHERE key='store_id'"]),
        ("another seed's id", [
            "UPDATE meta SET value=zeroblob(8) WHERE key='seed_id'"]),
        ("a kind that is none", ["UPDATE entry SET kind='x' WHERE dir=1"]),
        ("a mode of more bits", ["UPDATE entry SET mode=32768 WHERE dir=1"]),
        ("an owner that is none", ["UPDATE entry SET user=99 WHERE dir=1"]),
        ("a size below zero", ["UPDATE entry SET size=-1 WHERE dir=1"]),
        ("a size as text", ["UPDATE entry SET size='big' WHERE dir=1"]),
        ("a digest of ten bytes", [
            "UPDATE entry SET digest=zeroblob(10) WHERE dir=1"]),
        ("an entry of the future", ["UPDATE entry SET gen=99 WHERE dir=1"]),
        ("a count that is wrong", [
            "UPDATE meta SET value=77 WHERE key='entries'"]),
        ("a state digest that is wrong", [
            "UPDATE meta SET value=zeroblob(32) WHERE key='sum'"])):
    def settled(s, sql=sql):
        s.catalog.settle()
        change(*sql, settle=False)(s)
    case("a catalog with " + claim)(settled)


@case("a catalog that says the root is ours already", receive=[7],
      only=["mine"])
def _(s):
    s.honest("mine", b"not mine any more")
    s.catalog.db.execute(
        "INSERT INTO meta VALUES('note.import.root.' || ?, ?)",
        (s.root, s.replica))
    os.mkdir(s.replica)
    with open(os.path.join(s.replica, "mine"), "wb") as file:
        file.write(b"mine")


@case("a catalog that says that it was imported", receive=[0])
def _(s):
    for key, value in (("role", "active"), ("import.seed", s.id),
                       ("import.state", "ended")):
        s.catalog.db.execute("INSERT OR REPLACE INTO meta VALUES(?,?)",
                             ("note." + key, value))


# ---- the manifest ----

def claimed_size(more):
    def build(s):
        s.tars.setdefault(2, []).append(member(s.at(""), kind="d"))
        s.sizes[VOLUME % 2] = 70000 + more
    return build


case("a volume smaller than signed", verify=[4])(claimed_size(1))


@case("a file listed outside of the folder", receive=[5], verify=[5])
def _(s):
    s.names[CATALOG] = "../" + CATALOG


@case("a file listed by an absolute path", receive=[5], verify=[5])
def _(s):
    s.names[CATALOG] = "/etc/passwd"


@case("an option as a file's name", receive=[5], verify=[5])
def _(s):
    s.names[CATALOG] = "-rf"


@case("a manifest of another seed than its folder", receive=[5],
      verify=[5])
def _(s):
    s.over["seed"] = "0" * 16


@case("a manifest that names another site as its writer", receive=[5],
      verify=[5])
def _(s):
    s.over["signer"] = "0" * 64


@case("a manifest for other recipients", receive=[5])
def _(s):
    s.over["recipient"] = "0" * 64


@case("a manifest of a newer version", receive=[4, 5], verify=[4, 5])
def _(s):
    s.over["causeway-manifest"] = "2"


@case("a manifest of 10^18 files", receive=[5], verify=[5])
def _(s):
    s.over["files"] = 10 ** 18


@case("a signer whom nobody trusts", receive=[5], verify=[5])
def _(s):
    s.signing_key = s.other_key


# ---- a medium that was changed on its way ----

def spoil(claim, receive, verify, only=()):
    """The seed is honest; the function changes its folder."""
    def add(function):
        def build(s):
            s.honest("sub/x", b"x" * 1000, volume=2)
            s.spoil = function
        case(claim, receive, verify, set(only) | {"sub/x"})(build)
        return function
    return add


def both(folder, name):
    return [path for path in (os.path.join(folder, name),
                              os.path.join(folder, "copy", name))
            if os.path.lexists(path)]


ALL_FILES = ("MANIFEST", "MANIFEST.minisig", "MEDIUM", "CHECKSUMS", CATALOG,
             VOLUME % 1)
# What is there twice is needed once, but that main manifest is changed is
# distrust.  CHECKSUMS follows from the rest, MEDIUM from a manifest that
# describes it, which this one does not.
CUT = {"MANIFEST": (5, 5), "MANIFEST.minisig": (5, 5), "MEDIUM": (0, 4),
       "CHECKSUMS": (0, 3), CATALOG: (4, 4), VOLUME % 1: (4, 4)}

for name in ALL_FILES:
    for what, part in (("to half", 2), ("to nothing", 0), ("by a byte", 1)):
        def cut_all(folder, name=name, part=part):
            for path in both(folder, name):
                size = os.path.getsize(path)
                os.truncate(path, size // 2 if part == 2 else
                            size - 1 if part else 0)
        # Without its last line feed a signature says the same.
        spared = name == "MANIFEST.minisig" and part == 1
        spoil("%s cut %s" % (name, what),
              {CUT[name][0], 0} if spared else [CUT[name][0]],
              {CUT[name][1], 0} if spared else [CUT[name][1]])(cut_all)

    def grow(folder, name=name):
        for path in both(folder, name):
            with open(path, "ab") as file:
                file.write(b"\0")
    # A volume that is good and too long need only be cut.
    spoil(name + " with a byte more", [CUT[name][0]],
          [3] if name == VOLUME % 1 else [CUT[name][1]])(grow)

    # No manifest at all is nothing to distrust: it is missing.
    def remove(folder, name=name):
        for path in both(folder, name):
            os.unlink(path)
    gone = [4, 5] if name == "MANIFEST" else [CUT[name][0]]
    spoil(name + " taken away", gone,
          [4, 5] if name == "MANIFEST" else [CUT[name][1]])(remove)

    for what in ("symlink", "fifo", "directory"):
        def replace(folder, name=name, what=what):
            for path in both(folder, name):
                moved = os.path.join(os.path.dirname(os.path.dirname(
                    os.path.dirname(folder))), "elsewhere")
                shutil.copy(path, moved)
                os.unlink(path)
                if what == "symlink":
                    os.symlink(moved, path)
                elif what == "fifo":
                    os.mkfifo(path)
                else:
                    os.mkdir(path)
        spoil("a %s in place of %s" % (what, name),
              {4, 5} if "MANIFEST" in name else {CUT[name][0]},
              {4, 5} if "MANIFEST" in name else {CUT[name][1]})(replace)


@spoil("two volumes in each other's place", [4], [4])
def _(folder):
    one, two, spare = (os.path.join(folder, name) for name in (
        VOLUME % 1, VOLUME % 2, "spare"))
    os.rename(one, spare)
    os.rename(two, one)
    os.rename(spare, two)


@spoil("a volume in place of another", [4], [4])
def _(folder):
    shutil.copy(os.path.join(folder, VOLUME % 1),
                os.path.join(folder, VOLUME % 2))


@spoil("catalog and volume in each other's place", [4], [4])
def _(folder):
    spare = os.path.join(folder, "spare")
    os.rename(os.path.join(folder, CATALOG), spare)
    os.rename(os.path.join(folder, VOLUME % 1), os.path.join(folder, CATALOG))
    os.rename(spare, os.path.join(folder, VOLUME % 1))
    os.unlink(os.path.join(folder, "copy", CATALOG))


@spoil("a file more", [0], [4])
def _(folder):
    shutil.copy(os.path.join(folder, VOLUME % 1),
                os.path.join(folder, VOLUME % 3))


@spoil("the folder under another seed's name", [5], [5])
def _(folder):
    os.rename(folder, os.path.join(os.path.dirname(folder), "f" * 16))


@spoil("another seed's manifest with its signature", [5], [5])
def _(folder):
    for name in ("MANIFEST", "MANIFEST.minisig"):
        for path in both(folder, name):
            shutil.copy(os.path.join(ELSE.folder, name), path)


@spoil("another seed's manifest, and the folder under its name", [4], [4])
def _(folder):
    for name in ("MANIFEST", "MANIFEST.minisig"):
        for path in both(folder, name):
            shutil.copy(os.path.join(ELSE.folder, name), path)
    os.rename(folder, os.path.join(os.path.dirname(folder), ELSE.id))


@spoil("another manifest with the signature", [5], [5])
def _(folder):
    for path in both(folder, "MANIFEST"):
        shutil.copy(os.path.join(ELSE.folder, "MANIFEST"), path)


ELSE = None  # the seed that Causeway made, of the same site


# ---- running ----

def snapshot(top, without):
    """Everything outside the root: names, inodes, contents."""
    found = {}
    for directory, subdirs, files in os.walk(top):
        subdirs[:] = [name for name in subdirs
                      if os.path.join(directory, name) != without]
        for name in subdirs + files:
            path = os.path.join(directory, name)
            info = os.lstat(path)
            data = b""
            if stat.S_ISREG(info.st_mode):
                with open(path, "rb") as file:
                    data = file.read()
            found[path] = (info.st_mode, info.st_ino, info.st_nlink,
                           info.st_mtime_ns if name != "" else 0, data)
    return found


def limits():
    """A file that grows beyond all measure makes a write fail."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (256 << 20, 256 << 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def ask(*arguments):
    """(status, problem) of a run."""
    with open(arguments[-1] + ".out", "w+b") as out, \
            open(arguments[-1] + ".err", "w+b") as err:
        began = time.monotonic()
        with subprocess.Popen(arguments[:-1], stdin=subprocess.DEVNULL,
                              stdout=out, stderr=err,
                              preexec_fn=limits) as child:
            timer = threading.Timer(SECONDS, child.kill)
            timer.start()
            _, code, usage = os.wait4(child.pid, 0)
            timer.cancel()
            child.returncode = os.waitstatus_to_exitcode(code)
        took = time.monotonic() - began
        out.seek(0)
        err.seek(0)
        answer = out.read()
        said = err.read().decode("utf-8", "replace")
    status = child.returncode
    if status < 0 or status > 8 or "Sanitizer" in said or \
            "runtime error" in said:
        return status, "it crashed after %.1f s: %s" % (took, said[-1500:])
    if usage.ru_maxrss > MEMORY:
        return status, "it took %d MiB" % (usage.ru_maxrss >> 10)
    try:
        answer = json.loads(answer)
    except ValueError:
        return status, "no JSON: %r %s" % (answer[:200], said[:200])
    if status != 0 and not answer.get("error", {}).get("message"):
        return status, "no error in its answer"
    return status, None


def look(replica, only):
    """What is wrong in the replica's tree, and the paths of its files; only
    is None where any content may be."""
    files = set()
    for directory, subdirs, names in os.walk(replica):
        for name in subdirs + names:
            path = os.path.join(directory, name)
            within = os.path.relpath(path, replica)
            info = os.lstat(path)
            kind = stat.S_IFMT(info.st_mode)
            if kind not in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
                return "%s is of a kind that must not be" % within, files
            if kind == stat.S_IFREG and info.st_mode & 0o6000:
                return "%s is setuid" % within, files
            for attribute in os.listxattr(path, follow_symlinks=False):
                if attribute != "security.selinux" and \
                        not attribute.startswith("user."):
                    return "%s has %s" % (within, attribute), files
            if kind == stat.S_IFDIR:
                continue
            files.add(within)
            if only is None:
                continue
            if within in ("good", "mine"):
                with open(path, "rb") as file:
                    if file.read() != (GOOD if within == "good" else b"mine"):
                        return "%s is not as it was" % within, files
            elif within not in only:
                return "%s must not be there" % within, files
    return None, files


class Bench:
    """Where one case after the other is tried."""

    def __init__(self, arguments, base, number):
        self.program, self.pristine = arguments.program, arguments.home
        self.keys = os.path.join(arguments.work, "keys")
        self.top = os.path.join(arguments.work, "bench%d" % number)
        self.base = base

    def fresh(self):
        shutil.rmtree(self.top, ignore_errors=True)
        outside = os.path.join(self.top, "world", "outside")
        os.makedirs(outside)
        for path in (os.path.join(outside, "canary"),
                     os.path.join(self.top, "world", "canary")):
            with open(path, "wb") as file:
                file.write(b"canary\n")
        # A verify writes down how far it came: in a home of this thread's.
        self.verifier = os.path.join(self.top, "verifier")
        shutil.copytree(self.pristine, self.verifier)
        seed = forge.Seed(self.base, self.top)
        seed.outside = outside
        seed.absolute = os.path.join(self.top, "world", "absolute")
        seed.replica = os.path.join(self.top, "world", "replica")
        seed.stranger = self.stranger()
        seed.other_key = os.path.join(self.keys, "other.key")
        seed.spoil = None
        seed.honest("good", GOOD)
        return seed

    def stranger(self):
        with open(os.path.join(self.keys, "stranger"),
                  encoding="ascii") as file:
            return file.read().strip()

    def attempt(self, function, receive, verify, only):
        """What was wrong, in sentences, and the statuses."""
        seed = self.fresh()
        medium = os.path.join(self.top, "medium")
        function(seed)
        seed.write(medium)
        if seed.spoil is not None:
            seed.spoil(os.path.join(medium, "causeway", seed.id))
        return self.check(medium, seed.replica, receive, verify, only)

    def check(self, medium, replica, receive, verify, only):
        wrong, statuses = [], []
        world = os.path.dirname(replica)
        before = snapshot(world, replica)
        passwd = os.stat("/etc/passwd").st_nlink
        log = os.path.join(self.top, "log")
        status, problem = ask(self.program, "--home", self.verifier, "--json",
                              "verify", "--no-custody", "--cached", medium,
                              log)
        statuses.append(status)
        if problem or status not in verify:
            wrong.append("verify: status %d, expected %s%s" % (
                status, sorted(verify), ": " + problem if problem else
                self.said(log)))
        home = os.path.join(self.top, "home")
        shutil.copytree(self.pristine, home)
        status, problem = self.receive(home, medium, replica)
        statuses.append(status)
        if problem or status not in receive:
            wrong.append("receive: status %d, expected %s%s" % (
                status, sorted(receive), ": " + problem if problem else
                self.said(log)))
        shutil.rmtree(replica + "-bare", ignore_errors=True)
        bare, crash = self.receive(home, medium, replica + "-bare",
                                   "--without-catalog", "--store", "bare")
        statuses.append(bare)
        if crash:
            wrong.append("receive --without-catalog: " + crash)
        problem = os.path.isdir(replica + "-bare") and \
            look(replica + "-bare", None)[0]
        if problem:
            wrong.append("receive --without-catalog: " + problem)
        shutil.rmtree(replica + "-bare", ignore_errors=True)
        if snapshot(world, replica) != before or \
                os.stat("/etc/passwd").st_nlink != passwd:
            wrong.append("something outside the root was changed")
        problem, files = look(replica, only) if os.path.isdir(replica) else \
            (None, set())
        if problem:
            wrong.append(problem)
        if status == 0 and not {"good"} | only <= files:
            wrong.append("it said 0, but not all is there")
        if status == 5 and files:
            wrong.append("it wrote something of what it does not trust")
        stores = os.path.join(home, "stores")
        if os.path.isdir(stores) and any(
                name.startswith(".") for name in os.listdir(stores)):
            wrong.append("it left something in the state directory")
        return wrong, statuses

    def receive(self, home, medium, replica, *more):
        return ask(self.program, "--home", home, "--json", "receive", medium,
                   "--root", replica, *more, os.path.join(self.top, "log"))

    def said(self, log):
        with open(log + ".out", encoding="utf-8") as file:
            answer = json.load(file)
        return ": " + answer.get("error", {}).get("message", "no error")[:300]


def add_archives(folder):
    for name, data in forge.archives(folder):
        def wrapped(s, data=data):
            s.volumes[1] = framed([(zstd(data), len(data))] if data else [])
        case("the archive %s as a volume" % name)(wrapped)
    rle = os.path.join(folder, "zstd-rle-first-block.zst")
    with open(rle, "rb") as file:
        bomb = file.read()

    @case("the archive zstd-rle-first-block.zst as a frame")
    def _(s):
        s.volumes[1] = framed([(bomb, 1 << 20)])


def main():
    global ELSE
    parser = argparse.ArgumentParser()
    for name in ("program", "home", "medium", "work"):
        parser.add_argument(name)
    parser.add_argument("--archives")
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    keys = os.path.join(arguments.work, "keys")
    recipient = forge.run("age-keygen", "-y", os.path.join(
        keys, "age.key")).decode().strip()
    base = ELSE = forge.Base(arguments.medium, os.path.join(keys, "age.key"),
                             recipient, os.path.join(keys, "sign.key"))
    if arguments.archives:
        add_archives(arguments.archives)
    workers = os.cpu_count() or 1
    benches = [Bench(arguments, base, i) for i in range(workers)]

    def do(one):
        bench = benches.pop()
        try:
            return one[0], *bench.attempt(*one[1:])
        finally:
            benches.append(bench)

    todo = [one for one in CASES if arguments.only in one[0]]
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for claim, wrong, statuses in pool.map(do, todo):
            failed += bool(wrong)
            print("%s - verify %d, receive %d, without catalog %d: %s" % (
                "not ok" if wrong else "ok", *statuses, claim))
            for sentence in wrong:
                print("    " + sentence)
    print("%d hostile seeds, %d wrong" % (len(todo), failed))
    sys.exit(1 if failed or not todo else 0)


if __name__ == "__main__":
    main()
