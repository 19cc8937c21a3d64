"""Makes seeds by hand, as a site would whose keys are in wrong hands: tar by
us, frames and sealing by zstd and age, rows by SQLite, signature by minisign.
What Causeway writes is only borrowed: the catalog's tables and the ids.

It follows the SPEC.md files and none of the code, so that an honest seed made
here, which must be received, also checks those.
"""

import hashlib
import hmac
import io
import os
import shutil
import sqlite3
import struct
import subprocess
import tarfile

PAD, TABLE, SEEKABLE = 0x184d2a50, 0x184d2a5e, 0x8f92eab1
MOMENT = 1125288600  # of all files
VOLUME = "%06d.tar.zst.age"
CATALOG = "catalog.sqlite.zst.age"


def run(*arguments, data=None):
    return subprocess.run(arguments, input=data, check=True,
                          stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL).stdout


def zstd(data):
    return run("zstd", "-q", "-1", "--no-check", data=data)


def zeros_frame(count, window=17, first=b""):
    """A frame of any size in a few bytes: `first`, then `count` zeros."""
    blocks = []
    if first:
        blocks.append(struct.pack("<I", len(first) << 3)[:3] + first)
    while count > 0:
        size = min(count, 1 << 17)
        count -= size
        blocks.append(struct.pack("<I", size << 3 | 1 << 1)[:3] + b"\0")
    blocks[-1] = bytes([blocks[-1][0] | 1]) + blocks[-1][1:]
    return b"\x28\xb5\x2f\xfd" + bytes([0, window - 10 << 3]) + b"".join(blocks)


def framed(frames, pad=100):
    """Frames as (packed, size), then padding and table."""
    frames = frames + [(struct.pack("<II", PAD, pad) + bytes(pad), 0)]
    table = b"".join(struct.pack("<II", len(packed), size)
                     for packed, size in frames)
    table += struct.pack("<IBI", len(frames), 0, SEEKABLE)
    return b"".join(packed for packed, _ in frames) + \
        struct.pack("<II", TABLE, len(table)) + table


def seal(data, recipient):
    return run("age", "-r", recipient, data=data)


class Base:
    """What is borrowed from a seed that Causeway made for the same site."""

    def __init__(self, medium, key, recipient, signing_key):
        folder = os.path.join(medium, "causeway")
        self.id = next(n for n in os.listdir(folder) if len(n) == 16)
        self.folder = os.path.join(folder, self.id)
        self.recipient, self.signing_key = recipient, signing_key
        packed = run("age", "-d", "-i", key, os.path.join(self.folder, CATALOG))
        self.catalog = run("zstd", "-dq", data=packed)
        with open(os.path.join(self.folder, "MANIFEST"),
                  encoding="ascii") as file:
            self.manifest = dict(line.rstrip("\n").split(" ", 1)
                                 for line in file
                                 if not line.startswith(
                                     ("file ", "medium ", "group ")))


class Catalog:
    """The rows; sums and counts are made right in the end, unless told."""

    def __init__(self, base, path):
        with open(path, "wb") as file:
            file.write(base.catalog)
        self.path = path
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.text_factory = bytes
        for table in ("part", "superseded", "tombstone", "attrs"):
            self.db.execute("DELETE FROM " + table)
        self.db.execute("DELETE FROM entry WHERE dir<>0")
        self.db.execute("DELETE FROM dir WHERE id>1")
        self.db.execute("UPDATE entry SET volume=1, mtime_ns=?",
                        (MOMENT * 10 ** 9,))
        self.key = self.meta("state_key")
        self.root = bytes(self.one("SELECT name FROM entry WHERE dir=0"))
        self.dirs = {self.root: 1}
        self.next_dir = 2

    def one(self, sql, *values):
        row = self.db.execute(sql, values).fetchone()
        return row[0] if row else None

    def meta(self, key):
        return self.one("SELECT value FROM meta WHERE key=?", key)

    def put(self, path, kind, data=b"", **over):
        """An entry, with its directories; over replaces any column."""
        path = os.fsencode(path)
        above, _, name = path.rpartition(b"/")
        if above not in self.dirs:
            self.put(above, "d")
        row = {"dir": self.dirs[above], "name": name, "kind": kind, "class": 1,
               "mode": 0o755 if kind == "d" else 0o644, "user": self.owner("u"),
               "grp": self.owner("g"), "mtime_ns": MOMENT * 10 ** 9,
               "ctime_ns": 0, "size": 0, "ino": 0, "linkgroup": None,
               "digest": None, "target": None, "attrs": None, "sparse": 0,
               "gen": 1, "volume": 1, "child": None}
        if kind == "f":
            row.update(size=len(data), digest=hashlib.sha256(data).digest())
        elif kind == "l":
            row.update(target=data, mode=0o777)
        else:
            row["child"] = self.dirs[path] = self.next_dir
            self.db.execute("INSERT INTO dir VALUES(?,?,?,zeroblob(32),0,0)",
                            (self.next_dir, row["dir"], name))
            self.next_dir += 1
        row.update(over)
        self.db.execute("INSERT INTO entry(%s) VALUES(%s)" % (
            ",".join(row), ",".join("?" * len(row))), tuple(row.values()))

    def owner(self, kind):
        return self.one("SELECT id FROM owner WHERE kind=? ORDER BY id", kind)

    def attrs(self, xattrs, access=b""):
        def text(value):
            return struct.pack("<I", len(value)) + value + b"\0"

        data = b"\1" + text(access) + text(b"") + \
            struct.pack("<I", len(xattrs))
        for name, value in sorted(xattrs.items()):
            data += text(name) + struct.pack("<I", len(value)) + value
        return self.db.execute(
            "INSERT INTO attrs(digest,data) VALUES(?,?)",
            (hashlib.sha256(data).digest(), data)).lastrowid

    def dir_path(self, number):
        parts = []
        while number > 0 and len(parts) < 100:
            row = self.db.execute("SELECT parent,name FROM dir WHERE id=?",
                                  (number,)).fetchone()
            if row is None:
                break
            number = row[0]
            parts.insert(0, row[1])
        return b"/".join(parts)

    def mac(self, row):
        (parent, name, kind, mode, mtime, size, digest, target, attrs, user,
         group) = row
        kind = bytes(kind)

        def text(value):
            return struct.pack("<I", len(value)) + value

        fixed = b"\1" + kind + struct.pack("<I", mode)
        fixed += struct.pack("<q", mtime if kind != b"d" else 0)
        fixed += struct.pack("<Q", size) + digest if kind == b"f" else \
            bytes(40)
        fixed += hashlib.sha256(attrs).digest() if attrs else bytes(32)
        above = self.dir_path(parent)
        path = above + b"/" + name if above else name
        return int.from_bytes(hmac.digest(self.key, fixed + text(user) + text(
            group) + text(target if kind == b"l" else b"") + text(path),
            "sha256"), "little")

    def settle(self):
        """Sums and counts as the rows have them."""
        sums, total = {}, 0
        rows = self.db.execute(
            "SELECT e.dir,e.name,e.kind,e.mode,e.mtime_ns,e.size,e.digest,"
            "e.target,a.data,u.name,g.name FROM entry e"
            " LEFT JOIN attrs a ON a.id=e.attrs JOIN owner u ON u.id=e.user"
            " JOIN owner g ON g.id=e.grp").fetchall()
        for row in rows:
            if bytes(row[2]) == b"f" and row[6] is None:
                continue
            mac = self.mac(row)
            sums[row[0]] = sums.get(row[0], 0) + mac
            total += mac

        def blob(number):
            return (number % 2 ** 256).to_bytes(32, "little")

        self.db.execute("UPDATE dir SET sum=zeroblob(32)")
        for number, value in sums.items():
            self.db.execute("UPDATE dir SET sum=? WHERE id=?",
                            (blob(value), number))
        for key, value in (
                ("sum", blob(total)), ("entries", len(rows)),
                ("files", sum(r[2] == b"f" for r in rows)),
                ("dirs", sum(r[2] == b"d" for r in rows)),
                ("bytes", sum(r[5] for r in rows)), ("pending", 0),
                ("next_dir", self.next_dir)):
            self.db.execute("UPDATE meta SET value=? WHERE key=?",
                            (value, key))

    def read(self):
        self.db.close()
        with open(self.path, "rb") as file:
            data = file.read()
        os.unlink(self.path)
        return data


def header(path, kind="f", size=0, target="", mode=0o644, pax=None, device=0):
    """The header of a member, with pax records as given."""
    info = tarfile.TarInfo(os.fsdecode(path))
    info.type = {"f": tarfile.REGTYPE, "d": tarfile.DIRTYPE,
                 "l": tarfile.SYMTYPE, "h": tarfile.LNKTYPE,
                 "p": tarfile.FIFOTYPE, "c": tarfile.CHRTYPE,
                 "b": tarfile.BLKTYPE}[kind]
    info.size, info.mode, info.mtime = size, mode, MOMENT
    info.linkname = target
    info.devmajor = info.devminor = device
    info.pax_headers = pax or {}
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def raw_pax(records, following):
    """A pax header with any bytes in it, before a header."""
    body = b""
    for key, value in records:
        rest = len(key) + len(value) + 3
        length = rest + len(str(rest))
        length = rest + len(str(length))
        body += b"%d %s=%s\n" % (length, key, value)
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, len(body)
    return info.tobuf(tarfile.USTAR_FORMAT) + filled(body) + following


def filled(data):
    return data + bytes(-len(data) % 512)


def member(path, data=b"", kind="f", **options):
    return header(path, kind, len(data) if kind == "f" else 0, **options) + \
        (filled(data) if kind == "f" else b"")


END = bytes(1024)


class Seed:
    """One seed on one medium, to be spoiled before it is written."""

    def __init__(self, base, work):
        self.base = base
        self.catalog = Catalog(base, os.path.join(work, "forged.sqlite"))
        self.root = os.fsdecode(self.catalog.root)
        self.tars = {1: []}     # pieces of each volume
        self.volumes = {}       # or the whole file, unsealed
        self.recipient = {}     # of a volume, of "catalog"
        self.over = dict(base.manifest)  # records of the manifest
        del self.over["files"]  # last, and counted
        self.over.update({"parity": "0 0", "survive-media": "0",
                          "described": "0", "groups": "0",
                          "catalog": None})
        self.sizes = {}         # that the manifest claims, by name
        self.settle = True
        self.catalog_data = None        # instead of the database
        self.catalog_frames = None      # instead of its frames
        self.names = {}                 # other names in the manifest
        self.signing_key = base.signing_key
        self.id = self.over["seed"] = "feedc0defeedc0de"
        self.catalog.db.execute("UPDATE meta SET value=? WHERE key='seed_id'",
                                (bytes.fromhex(self.id),))
        self.tars[1].append(member(self.root + "/", kind="d", mode=0o755))

    def at(self, path):
        return self.root + "/" + path

    def honest(self, path, data, volume=1):
        """A file as it should be, in the catalog and in a volume."""
        self.catalog.put(self.at(path), "f", data, volume=volume)
        self.tar(member(self.at(path), data), volume)

    def tar(self, piece, volume=1):
        self.tars.setdefault(volume, []).append(piece)

    def write(self, medium):
        """causeway/SEED-ID/ with everything, in `medium`."""
        files = {}
        if self.settle:
            self.catalog.settle()
        database = self.catalog.read()
        if self.catalog_data is not None:
            database = self.catalog_data
        frames = self.catalog_frames or [(zstd(database), len(database))]
        files[CATALOG] = seal(framed(frames),
                              self.recipient.get("catalog",
                                                 self.base.recipient))
        for number, pieces in self.tars.items():
            if number not in self.volumes:
                tar = b"".join(pieces) + END
                self.volumes[number] = framed([(zstd(tar), len(tar))])
        for number, data in self.volumes.items():
            files[VOLUME % number] = seal(
                data, self.recipient.get(number, self.base.recipient))
        with open(os.path.join(self.base.folder, "MEDIUM"), "rb") as file:
            files["MEDIUM"] = file.read().replace(
                self.base.id.encode(), self.id.encode())
        folder = os.path.join(medium, "causeway", self.id)
        os.makedirs(os.path.join(folder, "copy"))
        for name, data in files.items():
            with open(os.path.join(folder, name), "wb") as file:
                file.write(data)
            if name[0] != "0":
                shutil.copy(os.path.join(folder, name),
                            os.path.join(folder, "copy", name))
        listed = sorted(
            os.path.relpath(os.path.join(d, n), folder)
            for d, _, names in os.walk(folder) for n in names)
        sums = "".join(
            "%s  %s\n" % (run("xxh128sum", os.path.join(folder, name)).split()[
                0].decode(), name) for name in listed)
        self.save(folder, "CHECKSUMS", sums.encode())
        files["CHECKSUMS"] = sums.encode()
        self.save(folder, "MANIFEST", self.manifest(files).encode())
        self.sign(folder)

    def save(self, folder, name, data):
        for where in (folder, os.path.join(folder, "copy")):
            with open(os.path.join(where, name), "wb") as file:
                file.write(data)

    def manifest(self, files):
        self.over.setdefault("files", len(files))
        if self.over["catalog"] is None:
            self.over["catalog"] = hashlib.sha256(files[CATALOG]).hexdigest()
        lines = []
        for key, value in self.over.items():
            lines.append("%s %s" % (key, value))
        for name in sorted(files, key=lambda n: self.names.get(n, n)):
            lines.append("file 1 %d %s %s" % (
                self.sizes.get(name, len(files[name])),
                hashlib.sha256(files[name]).hexdigest(),
                self.names.get(name, name)))
        return "".join(line + "\n" for line in lines)

    def sign(self, folder):
        path = os.path.join(folder, "MANIFEST")
        run("minisign", "-S", "-s", self.signing_key, "-m", path, "-x",
            path + ".minisig", "-t", "causeway seed " + self.id)
        shutil.copy(path + ".minisig", os.path.join(
            folder, "copy", "MANIFEST.minisig"))


def read_archive(path):
    """The bytes of a file that may be packed by zstd."""
    if path.endswith(".zst"):
        return run("zstd", "-dcq", "--long=27", path)
    with open(path, "rb") as file:
        return file.read()


def archives(folder):
    """(name, bytes) of the awkward archives in a folder: tar files, and those
    of the shared data."""
    for directory in (folder, os.path.join(folder, "safearchive")):
        for name in sorted(os.listdir(directory)
                           if os.path.isdir(directory) else []):
            if name.endswith(".tar"):
                yield name, read_archive(os.path.join(directory, name))
    corpus = os.path.join(folder, "libarchive-corpus.tar.zst")
    if not os.path.exists(corpus):
        return
    yield "testtar.tar", read_archive(
        os.path.join(folder, "python-testtar.tar.zst"))
    data = read_archive(corpus)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for info in tar:
            if info.isfile() and "COPYING" not in info.name:
                yield os.path.basename(info.name), tar.extractfile(info).read()
