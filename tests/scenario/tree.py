"""Trees of files for the scenarios: awkward ones, and what is in a tree.

    tree.py awkward DIR       a plain root with everything a file can be
    tree.py maildirs DIR N    a Maildir root: two users, N messages and more
    tree.py list DIR          every entry with all its metadata, sorted; what
			      a Maildir store leaves out is left out
    tree.py silent WORDSROOT... -- PLACE...
			      no file of PLACE... holds a name, an address or a
			      subject of WORDSROOT..., wherever it stands
    tree.py keyless KEYDIR... -- PLACE...
			      no file of PLACE... holds a secret key of
			      KEYDIR..., raw, in hex, in base64 or as text
    tree.py padme FILE        the file's length is one that PADME allows

Paths and contents are bytes and no text.
"""

import base64
import hashlib
import os
import random
import re
import stat
import subprocess
import sys

import imap

MEGA = 1 << 20


def write(path, data, mode=0o644):
    with open(path, "wb") as file:
        file.write(data)
    os.chmod(path, mode)


def awkward(top):
    """Names, links, times, modes, attributes, holes, sizes."""
    rng = random.Random(1965)
    top = os.fsencode(top)

    def at(name):
        return os.path.join(top, name)

    for name in (b"names", b"links", b"times", b"modes", b"attributes",
                 b"sizes", b"empty", b"empty/emptier",
                 b"deep" + b"/d" * 120):
        os.makedirs(at(name))

    for i, name in enumerate([
            b"new\nline", b"\nstarts", b"ends\n", b"invalid-\xff\xfe-utf8",
            b"\xc3\x28", b"overlong-\xc0\xaf", b"x" * 255,
            "\u6771".encode() * 85, "u\u0308 decomposed".encode(),
            "\u00fc composed".encode(), b" leading space", b"trailing space ",
            b"-rf", b"--help", b"*", b"?", b"[a-z]", b"{}", b"back\\slash",
            b"\\012", b"tab\there", b"'single'", b'"double"', b"`tick`",
            b"$HOME", b"#hash", b"~", b"a=b", b"percent%00", b"\x01\x1b[31m",
            b"\x7f", b"...", b"..a", b"CON", b"name.", b"1", b"@", b"!bang",
            b"comma, semicolon; colon:", b"(brackets) <angle> |pipe&"]):
        write(at(b"names/" + name), b"%d %s\n" % (i, name))
    os.mkdir(at(b"names/dir\n" + b"\xfe" * 200))
    write(at(b"names/dir\n" + b"\xfe" * 200 + b"/inside"), b"inside\n")
    write(at(b"deep" + b"/d" * 120 + b"/bottom"), b"bottom\n")

    write(at(b"links/one"), b"three names\n")
    os.link(at(b"links/one"), at(b"links/two"))
    os.link(at(b"links/one"), at(b"names/three"))
    write(at(b"links/empty"), b"")
    os.link(at(b"links/empty"), at(b"links/empty too"))
    for name, target in ((b"dangling", b"not/there"), (b"self", b"self"),
                         (b"out", b"/etc/passwd"), (b"up", b"../.."),
                         (b"odd", b"with\nnewline \xff"),
                         (b"long", b"t" * 4000), (b"dir", b"../empty")):
        os.symlink(target, at(b"links/" + name))

    for name, moment in ((b"epoch", 0), (b"before", -1), (b"1901", -2 ** 31),
                         (b"half", -500_000_000 / 10 ** 9),
                         (b"2038", 2 ** 31), (b"2106", 2 ** 32)):
        write(at(b"times/" + name), name)
        nano = int(moment * 10 ** 9)
        os.utime(at(b"times/" + name), ns=(nano, nano))
    write(at(b"times/nano"), b"nano")
    os.utime(at(b"times/nano"), ns=(1, 1_125_288_600_123_456_789))
    write(at(b"times/nano before"), b"nano")
    os.utime(at(b"times/nano before"), ns=(1, -86_400_123_456_789))

    # Files with a setuid or setgid bit are refused by name: not here.
    for mode in (0o000, 0o400, 0o444, 0o600, 0o755, 0o777, 0o1644):
        write(at(b"modes/%04o" % mode), b"mode\n", mode)
    for mode in (0o700, 0o1777, 0o2750, 0o555):
        os.mkdir(at(b"modes/dir%04o" % mode))
        os.chmod(at(b"modes/dir%04o" % mode), mode)
    if os.geteuid() == 0:
        write(at(b"modes/owned"), b"owned\n")
        os.chown(at(b"modes/owned"), 12345, 54321)
        os.lchown(at(b"links/dangling"), 12345, 54321)

    write(at(b"attributes/file"), b"attributes\n")
    os.setxattr(at(b"attributes/file"), b"user.text", b"value")
    os.setxattr(at(b"attributes/file"), b"user.bytes", bytes(range(256)))
    os.setxattr(at(b"attributes/file"), b"user.empty", b"")
    os.setxattr(at(b"attributes"), b"user.of.a.directory", b"yes")
    write(at(b"attributes/acl"), b"acl\n")
    os.mkdir(at(b"attributes/default acl"))
    for arguments in (("u:12345:rw,g:54321:r,m::rwx", "attributes/acl"),
                      ("d:u:12345:rwx,d:o::-", "attributes/default acl")):
        subprocess.run(["setfacl", "-m", arguments[0],
                        at(os.fsencode(arguments[1]))], check=True)

    with open(at(b"sizes/sparse"), "wb") as file:
        file.seek(5 * MEGA)
        file.write(b"an island")
        file.truncate(9 * MEGA + 17)
    with open(at(b"sizes/hole"), "wb") as file:
        file.truncate(3 * MEGA)
    write(at(b"sizes/empty"), b"")
    # As large as 512-byte blocks, zstd frames and volumes are, or nearly.
    for size in (1, 511, 512, 513, 65536, MEGA - 1, MEGA, MEGA + 1):
        write(at(b"sizes/%d" % size), rng.randbytes(size))
    write(at(b"sizes/zeros"), bytes(2 * MEGA))

    # Cut into parts where volumes are 1 MiB; beside it, files that are called
    # as those parts are.
    write(at(b"sizes/big"), rng.randbytes(2 * MEGA + MEGA // 2))
    os.utime(at(b"sizes/big"), ns=(1, 1_125_288_600_987_654_321))
    os.setxattr(at(b"sizes/big"), b"user.big", b"of the whole file")
    os.link(at(b"sizes/big"), at(b"links/big too"))
    for parts in range(2, 20):
        write(at(b"sizes/big.causeway-part-0001-of-%04d" % parts),
              b"no part, %d\n" % parts)
    write(at(b"sizes/small.causeway-part-0001-of-0001"), b"nor this\n")
    write(at(b"sizes/x.causeway-part-0002-of-0002"),
          rng.randbytes(MEGA + MEGA // 2))
    os.makedirs(at(b"names/dir.causeway-part-0001-of-0002"))
    write(at(b"names/dir.causeway-part-0001-of-0002/x"), b"x\n")
    os.symlink(b"x", at(b"names/link.causeway-part-0001-of-0002"))


def maildirs(top, count):
    """Made by no server, but as one would."""
    rng = random.Random(29)
    stock = imap.texts()
    syllables = ["ba", "ko", "ri", "tun", "mel", "sa", "vor", "lin", "do"]

    def word():
        return "".join(rng.choice(syllables) for _ in range(4)).capitalize()

    for user in ("hal.toups@metairie.example", "nora.landry@bay.example"):
        for folder in ("", ".Sent Messages", ".Archive.Hurricane 2005",
                       ".Entw&APw-rfe"):
            box = os.path.join(top, user, folder)
            for name in ("cur", "new", "tmp"):
                os.makedirs(os.path.join(box, name))
            uids = ["3 V1125288600 N%d G%032x" % (
                count + 1, rng.getrandbits(128))]
            for uid in range(1, count // 8 + 1):
                text = rng.choice(stock) if rng.random() < 0.3 else b""
                text = (
                    "From: %s %s <%s.%s@%s.example>\nTo: %s@%s.example\n"
                    "Subject: %s %s about the %s\nMessage-ID: <%x@%s>\n\n"
                    "%s\n" % (
                        word(), word(), word(), word(), word(), word(),
                        word(), word(), word(), word(), rng.getrandbits(64),
                        word(), " ".join(word() for _ in range(80)))
                ).encode() + text
                base = "%d.M%06dP%d.%s,S=%d" % (
                    1125288600 + rng.randrange(10 ** 7),
                    rng.randrange(10 ** 6), rng.randrange(30000),
                    "mailhost", len(text))
                flags = "".join(sorted(rng.sample("DFRSTab", 2)))
                path = os.path.join(box, "cur", base + ":2," + flags)
                write(path, text, 0o600)
                moment = rng.randrange(10 ** 18, 15 * 10 ** 17)
                os.utime(path, ns=(moment, moment))
                uids.append("%d :%s" % (uid, base))
            with open(os.path.join(box, "dovecot-uidlist"), "w",
                      encoding="ascii") as file:
                file.writelines(line + "\n" for line in uids)
            write(os.path.join(box, "dovecot-keywords"),
                  b"0 Stormwatch2005\n1 $Forwarded\n")
            write(os.path.join(box, "tmp", "half-delivered-message"), b"x")
            write(os.path.join(box, "dovecot-uidlist.lock"), b"")
        write(os.path.join(top, user, "subscriptions"),
              b"V\t2\n\nSent Messages\n")


def is_left_out(path):
    return path.endswith(b".lock") or b"/tmp/" in path


def entries(top):
    """(path relative to top, its stat), depth first."""
    pending = [b""]
    while pending:
        path = pending.pop()
        full = os.path.join(top, path) if path else top
        info = os.lstat(full)
        if path:
            yield path, info
        if stat.S_ISDIR(info.st_mode):
            for name in os.listdir(full):
                inside = os.path.join(path, name) if path else name
                if not is_left_out(b"/" + inside):
                    pending.append(inside)


def show(data):
    return data.decode("ascii", "backslashreplace").encode(
        "unicode_escape").decode()


def listing(top):
    """Access and change times, directories' own times and sizes, inodes and
    blocks are no part of what a store holds."""
    top = os.fsencode(top)
    found = sorted(entries(top))
    groups = {}
    for path, info in found:
        groups.setdefault((info.st_dev, info.st_ino), path)
    lines = []
    for path, info in found:
        full = os.path.join(top, path)
        fields = [show(path), stat.filemode(info.st_mode),
                  "%d:%d" % (info.st_uid, info.st_gid)]
        for name in sorted(os.listxattr(full, follow_symlinks=False)):
            value = os.getxattr(full, name, follow_symlinks=False)
            fields.append("%s=%s" % (name, value.hex()))
        if stat.S_ISLNK(info.st_mode):
            fields.append("-> " + show(os.readlink(full)))
        elif stat.S_ISREG(info.st_mode):
            with open(full, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            fields += [str(info.st_size), str(info.st_mtime_ns), digest]
            if groups[info.st_dev, info.st_ino] != path:
                fields.append("is " + show(groups[info.st_dev, info.st_ino]))
        lines.append("\t".join(fields))
    return lines


def words(tops):
    """Names, addresses and subjects of at least eight bytes."""
    found = {}
    for top in tops:
        top = os.fsencode(top)
        found[os.path.basename(top)] = "a root's directory"
        for path, info in entries(top):
            name = os.path.basename(path)
            found[name] = "a name"
            # Without its flags a message's name is as telling.
            found[name.split(b",S=")[0]] = "a name"
            if not stat.S_ISREG(info.st_mode) or info.st_size > MEGA:
                continue
            with open(os.path.join(top, path), "rb") as file:
                head = file.read(65536)
            for line in head.split(b"\n"):
                if line[:8].lower() == b"subject:":
                    found[line[8:].strip()] = "a subject"
                elif line[:6].lower() in (b"from: ", b"to: ") or \
                        line[:3].lower() == b"to:":
                    for address in re.findall(
                            rb"[\w.+=-]+@[\w.-]+", line):
                        found[address] = "an address"
    # Seven times the same byte says nothing, and padding is zeros.
    return {word: what for word, what in found.items()
            if len(word) >= 8 and len(set(word)) > 3}


def keys(directories):
    """All forms of the secrets of age.key and, if there, minisign.key."""
    found = {}

    def url(text):
        return text.translate(bytes.maketrans(b"+/", b"-_"))

    def add(what, secret):
        for shift in range(3):
            # base64 of the secret wherever it stands in what was encoded
            text = base64.b64encode(bytes(shift) + secret)
            skip = (shift * 8 + 5) // 6
            text = text[skip:skip + len(secret) * 8 // 6 - 2]
            found[text] = found[url(text)] = what + " in base64"
        found[secret] = what
        found[secret[::-1]] = what + ", reversed"
        found[secret.hex().encode()] = what + " in hex"
        found[secret.hex().upper().encode()] = what + " in hex"

    for directory in directories:
        with open(os.path.join(directory, "age.key"), "rb") as file:
            text = re.search(rb"AGE-SECRET-KEY-1([A-Z0-9]+)",
                             file.read()).group(1)
        alphabet = b"QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"
        number = 0
        for digit in text[:-6]:
            number = number << 5 | alphabet.index(digit)
        number >>= len(text[:-6]) * 5 % 8
        add("an age key", number.to_bytes(32, "big"))
        found[text] = "an age key as text"
        found[text.lower()] = "an age key as text"
        signing = os.path.join(directory, "minisign.key")
        if not os.path.exists(signing):
            continue
        with open(signing, "rb") as file:
            blob = base64.b64decode(file.read().split(b"\n")[1])
        # algorithms 6, salt 32, limits 16, key id 8, seed 32, point 32, sum
        add("a signing key", blob[62:94])
    return found


def search(needles, places):
    """Where a needle stands in a file of the places; every byte is tried."""
    heads = {}
    for needle in needles:
        heads.setdefault(
            int.from_bytes(needle[:8], sys.byteorder), []).append(needle)
    known = frozenset(heads)

    def find(data):
        """Offset and needle; the first eight bytes are compared as numbers."""
        for shift in range(min(8, max(0, len(data) - 7))):
            end = shift + (len(data) - shift) // 8 * 8
            for head in known.intersection(
                    memoryview(data)[shift:end].cast("Q")):
                for needle in heads[head]:
                    offset = data.find(needle)
                    if offset >= 0:
                        yield offset, needle

    hits, size, files = [], 0, 0
    for place in places:
        paths = [place] if os.path.isfile(place) else [
            os.path.join(directory, name)
            for directory, _, names in os.walk(place) for name in names]
        for path in sorted(paths):
            for _, needle in find(os.fsencode(os.path.relpath(path, place))):
                hits.append((path, "its name", needle))
            with open(path, "rb") as file:
                data = file.read()
            files += 1
            size += len(data)
            hits += [(path, offset, needle) for offset, needle in find(data)]
    return hits, size, files


def refuse(needles, places):
    hits, size, files = search(needles, places)
    for path, offset, needle in hits[:20]:
        print("%s, %s: %s: %s" % (
            path, offset, needles[needle], show(needle[:60])))
    print("searched for %d words in %d bytes of %d files: %d found" % (
        len(needles), size, files, len(hits)))
    sys.exit(1 if hits or not needles or not size else 0)


def padme(length):
    """Whether a length's low bits are those that PADME clears."""
    exponent = length.bit_length() - 1
    low = exponent - exponent.bit_length()
    return low <= 0 or length & ((1 << low) - 1) == 0


def main(arguments):
    command, rest = arguments[0], arguments[1:]
    if command == "awkward":
        awkward(rest[0])
    elif command == "maildirs":
        maildirs(rest[0], int(rest[1]))
    elif command == "list":
        print("\n".join(listing(rest[0])))
    elif command in ("silent", "keyless"):
        split = rest.index("--")
        needles = (words if command == "silent" else keys)(rest[:split])
        refuse(needles, rest[split + 1:])
    elif command == "padme":
        sys.exit(0 if padme(os.path.getsize(rest[0])) else 1)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:] or [""])
