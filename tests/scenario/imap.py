"""A mail client for the scenarios: IMAP and LMTP over Unix sockets.

    imap.py wait DIR                   until the server of DIR answers
    imap.py listing DIR USER...        all that IMAP says, in sorted lines
    imap.py count DIR USER...          messages in all mailboxes
    imap.py fill DIR MESSAGES USER...  mail of every sort, by LMTP and APPEND
    imap.py deliver DIR USER FILE      by LMTP
    imap.py show DIR USER MAILBOX UID  one message
    imap.py relay DIR                  IMAP on standard input and output

DIR is that of dovecot.sh, with the sockets DIR/imap and DIR/lmtp.  It is a
module as well: life.py uses it.
"""

import glob
import hashlib
import imaplib
import io
import os
import random
import re
import select
import smtplib
import socket
import subprocess
import sys
import tarfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
VECTORS = os.path.join(ROOT, "tests", "vectors", "mail")
SHARED = os.path.join(ROOT, os.pardir, "shared", "data", "mail")
PASSWORD = "secret"
TIMEOUT = 300


class Failed(Exception):
    """The server said no, or something that makes no sense."""


class Imap(imaplib.IMAP4):
    """One session.  Mailbox names are as on the wire (modified UTF-7)."""

    def __init__(self, directory, user):
        self.path = os.path.join(directory, "imap")
        super().__init__(timeout=TIMEOUT)
        self.login(user, PASSWORD)
        self.mailbox = None

    def _create_socket(self, timeout):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(timeout)
        sock.connect(self.path)
        return sock

    def ok(self, answer):
        if answer[0] != "OK":
            raise Failed("%s: %r" % (self.path, answer))
        return answer[1]

    def open_mailbox(self, name, readonly=False):
        """Selects; the UIDVALIDITY and UIDNEXT that it has."""
        if not readonly and self.mailbox is not None and \
                self.mailbox[0] == name:
            return self.mailbox[1]
        self.ok(self.select(quote(name), readonly))
        validity = int(self.untagged_responses["UIDVALIDITY"][0])
        self.uidnext = int(self.untagged_responses["UIDNEXT"][0])
        self.mailbox = None if readonly else (name, validity)
        return validity

    def names(self, command="LIST"):
        """Mailboxes (LIST) or subscriptions (LSUB), sorted."""
        found = []
        answer = self.ok(getattr(self, command.lower())('""', "*"))
        for line in answer:
            if line is None:
                continue
            if isinstance(line, tuple):
                found.append(line[1].decode())
                continue
            match = re.match(rb'\((.*?)\) (?:"[^"]*"|NIL) (.*)$', line)
            if rb"\Noselect" in match.group(1):
                continue
            name = match.group(2).decode()
            if name.startswith('"'):
                name = re.sub(r"\\(.)", r"\1", name[1:-1])
            found.append(name)
        return sorted(found)

    def messages(self, items):
        """(text before the literal, literal) of each message."""
        for part in self.ok(self.uid("FETCH", "1:*", "(%s)" % items)):
            if isinstance(part, tuple):
                yield part

    def deliver(self, mailbox, flags, date, text):
        """APPEND; (UIDVALIDITY, UID)."""
        answer = self.ok(self.append(
            quote(mailbox), "(%s)" % " ".join(flags), date, text))
        return uid_code(rb"APPENDUID (\d+) (\d+)", answer[-1])

    def deliver_many(self, mailbox, messages):
        """MULTIAPPEND of (flags, text); (UIDVALIDITY, first UID)."""
        command = b"many APPEND " + quote(mailbox).encode()
        for flags, text in messages:
            command += b" (%s) {%d+}\r\n%s" % (
                " ".join(flags).encode(), len(text), text)
        self.send(command + b"\r\n")
        line = b""
        while not line.startswith(b"many "):
            line = self.readline()
            if not line:
                raise Failed("%s hung up" % self.path)
        if not line.startswith(b"many OK"):
            raise Failed("%s: %r" % (self.path, line))
        return uid_code(rb"APPENDUID (\d+) (\d+)", line)

    def move(self, uid, mailbox):
        """MOVE; (UIDVALIDITY, UID) in the other mailbox."""
        self.untagged_responses.pop("COPYUID", None)
        self.ok(self.uid("MOVE", str(uid), quote(mailbox)))
        code = self.untagged_responses.pop("COPYUID", [b""])[-1]
        return uid_code(rb"(\d+) \d+ (\d+)", code)

    def store_flags(self, uid, how, flags):
        self.ok(self.uid(
            "STORE", str(uid), how, "(%s)" % " ".join(flags)))

    def expunge_one(self, uid):
        self.store_flags(uid, "+FLAGS.SILENT", ["\\Deleted"])
        self.ok(self.uid("EXPUNGE", str(uid)))


def uid_code(pattern, text):
    match = re.search(pattern, text)
    if match is None:
        raise Failed("no UIDs in %r" % text)
    return int(match.group(1)), int(match.group(2))


def quote(name):
    return '"%s"' % name.replace("\\", "\\\\").replace('"', '\\"')


def lmtp(directory):
    return smtplib.LMTP(os.path.join(directory, "lmtp"))


def wait(directory):
    deadline = time.monotonic() + 120
    while True:
        try:
            with lmtp(directory):
                pass
            Imap(directory, "probe").logout()
            return
        except (OSError, smtplib.SMTPException, imaplib.IMAP4.error):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def listing(directory, users):
    """What a client can see.  \\Recent belongs to a session, not to mail."""
    lines = []
    for user in users:
        session = Imap(directory, user)
        subscribed = set(session.names("LSUB"))
        names = session.names()
        for name in sorted(subscribed - set(names)):
            lines.append("\t".join([user, name, "subscribed, not there"]))
        for name in names:
            validity = session.open_mailbox(name, readonly=True)
            lines.append("\t".join([
                user, name, "-", "UIDVALIDITY %d" % validity,
                "UIDNEXT %d" % session.uidnext,
                "subscribed" if name in subscribed else "not subscribed"]))
            items = "UID FLAGS INTERNALDATE RFC822.SIZE X-GUID BODY.PEEK[]"
            for head, body in session.messages(items):
                flags = re.search(rb"FLAGS \(([^)]*)\)", head).group(1)
                flags = sorted(set(flags.decode().split()) - {"\\Recent"})
                lines.append("\t".join([
                    user, name,
                    "%010d" % int(re.search(rb"UID (\d+)", head).group(1)),
                    " ".join(flags),
                    re.search(rb'INTERNALDATE "([^"]*)"',
                              head).group(1).decode(),
                    re.search(rb"RFC822.SIZE (\d+)", head).group(1).decode(),
                    re.search(rb"X-GUID (\S+)", head).group(1).decode(),
                    hashlib.sha256(body).hexdigest()]))
        session.logout()
    return sorted(lines)


def archive_members(name, every, limit):
    """Every so-many-th regular file of one of the shared archives."""
    path = os.path.join(SHARED, name)
    if not os.path.exists(path):
        return
    unpack = subprocess.Popen(
        ["zstd", "-dcq", "--long=27", path], stdout=subprocess.PIPE)
    with tarfile.open(fileobj=unpack.stdout, mode="r|") as archive:
        count = 0
        for member in archive:
            if not member.isfile() or member.size > limit:
                continue
            count += 1
            if count % every == 0:
                yield archive.extractfile(member).read()
    unpack.stdout.close()
    unpack.wait()


def texts():
    """Messages to be delivered: tests/vectors/mail, and shared ones."""
    found = []
    for path in sorted(glob.glob(os.path.join(VECTORS, "*.eml"))):
        with open(path, "rb") as file:
            found.append(file.read())
    for name, every in (("spamassassin-public-corpus.tar.zst", 20),
                        ("openbmc-list.tar.zst", 60),
                        ("notmuch-corpora.tar.zst", 4),
                        ("mime-and-mbox-fixtures.tar.zst", 2)):
        found += archive_members(name, every, 1 << 20)
    clean = []
    for text in found:
        text = re.sub(rb"\AFrom [^\n]*\n", b"", text)
        if text.strip() and b"\0" not in text:
            clean.append(text)
    return clean


FLAGS = ["\\Seen", "\\Answered", "\\Flagged", "\\Draft"]
KEYWORDS = ["$Forwarded", "$MDNSent", "Junk", "NonJunk", "storm", "urgent"]


def some(rng, choices, chance):
    return [choice for choice in choices if rng.random() < chance]


def send(session, rng, user, text):
    session.sendmail(
        "sender%d@coast.example" % rng.randrange(50), [user + "@bay.example"],
        re.sub(rb"\r?\n", b"\r\n", text))


def fill(directory, count, users):
    """The same every time: all that a client does to mailboxes."""
    rng = random.Random(2005)
    stock = texts()
    post = lmtp(directory)
    for user in users:
        session = Imap(directory, user)
        names = ["Sent", "Archive", "Archive.2024", "Archive.2024.Storm",
                 "Entw&APw-rfe", "With space &- more", "Old name", "Gone",
                 "Empty", "Many keywords"]
        for name in names:
            session.ok(session.create(quote(name)))
            if rng.random() < 0.6:
                session.ok(session.subscribe(quote(name)))
        names = ["INBOX"] + [n for n in names if n != "Empty"]
        for _ in range(count // len(users)):
            text = rng.choice(stock)
            if rng.random() < 0.5:
                send(post, rng, user, text)
                continue
            date = imaplib.Time2Internaldate(rng.randrange(1, 1_700_000_000))
            session.deliver(
                rng.choice(names), some(rng, FLAGS + KEYWORDS, 0.2), date,
                text)

        # Maildir has letters for 26 keywords; the rest is in the index.
        validity, uid = session.deliver("Many keywords", [], None, stock[0])
        session.open_mailbox("Many keywords")
        for i in range(30):
            session.store_flags(uid, "+FLAGS", ["word%02d" % i])

        for name in names:
            session.open_mailbox(name)
            uids = session.ok(session.uid("SEARCH", "ALL"))[0].split()
            for uid in [u.decode() for u in uids]:
                dice = rng.random()
                if dice < 0.3:
                    session.store_flags(
                        uid, rng.choice(["FLAGS", "+FLAGS", "-FLAGS"]),
                        some(rng, FLAGS + KEYWORDS, 0.3))
                elif dice < 0.4:
                    session.move(uid, rng.choice(names[:6]))
                elif dice < 0.5:
                    # Dovecot copies by a hard link, across directories.
                    session.ok(session.uid(
                        "COPY", uid, quote(rng.choice(names[:6]))))
                elif dice < 0.6:
                    session.expunge_one(uid)
                elif dice < 0.63:
                    session.store_flags(uid, "+FLAGS", ["\\Deleted"])
        session.open_mailbox("INBOX")
        session.ok(session.rename(quote("Old name"), quote("New name")))
        session.ok(session.delete(quote("Gone")))
        session.logout()
    post.quit()


def deliver(directory, user, path):
    with open(path, "rb") as file, lmtp(directory) as session:
        send(session, random.Random(1), user, file.read())


def show(directory, user, mailbox, uid):
    session = Imap(directory, user)
    session.open_mailbox(mailbox, readonly=True)
    for part in session.ok(session.uid("FETCH", uid, "(BODY.PEEK[])")):
        if isinstance(part, tuple):
            sys.stdout.buffer.write(part[1].replace(b"\r\n", b"\n"))
    session.logout()


def relay(directory):
    """For mbsync's Tunnel: IMAP between a pipe and the socket."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.connect(os.path.join(directory, "imap"))
    ends = {0: sock.fileno(), sock.fileno(): 1}
    while True:
        for end in select.select(list(ends), [], [])[0]:
            data = os.read(end, 65536)
            if not data:
                return
            while data:
                data = data[os.write(ends[end], data):]


def main(arguments):
    command, directory, rest = arguments[0], arguments[1], arguments[2:]
    if command == "wait":
        wait(directory)
    elif command == "listing":
        out = io.TextIOWrapper(sys.stdout.buffer, "utf-8", "backslashreplace")
        out.writelines(line + "\n" for line in listing(directory, rest))
        out.flush()
    elif command == "count":
        print(sum("\t-\t" not in line for line in listing(directory, rest)))
    elif command == "fill":
        fill(directory, int(rest[0]), rest[1:])
    elif command == "deliver":
        deliver(directory, *rest)
    elif command == "show":
        show(directory, *rest)
    elif command == "relay":
        relay(directory)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:] if len(sys.argv) > 2 else ["", ""])
