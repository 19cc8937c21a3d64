"""What mail clients do while a store crosses, and what they then find.

    crossing.py COMMAND HOST ...       those of imap.py, over TCP
    crossing.py live HOST USER SEED    deliveries, APPEND, flags, keywords,
                                       moves, expunges, folders
    crossing.py post HOST WORD USER... a message by LMTP, one by APPEND
    crossing.py change HOST USER       a flag, a move, an expunge
    crossing.py busy HOST USER TRUTH   works without pause, comes back when it
                                       is thrown out, ends when TRUTH.stop is
                                       there and it was served again
    crossing.py judge HOST USER TRUTH  all that was acknowledged to it holds
    crossing.py beyond SEEN... NEW     listings: no UID of one SEEN is another
                                       message in NEW, and what NEW has more
                                       is beyond all that was seen or promised

HOST is an address: IMAP at port 143, LMTP at port 24.
"""

import collections
import hashlib
import imaplib
import json
import os
import random
import re
import smtplib
import socket
import sys
import time

import imap

IMAP_PORT = 143
LMTP_PORT = 24
AGAIN = 0.05  # seconds from a failure to the next try
PACE = 0.01  # seconds from one operation to the next
AFTER = 40  # operations at the new place

now = time.monotonic


class Tcp(imap.Imap):
    """As imap.Imap, but its directory is an address."""

    connect_limit = 60
    limit = 300

    def _create_socket(self, timeout):
        sock = socket.create_connection(
            (os.path.dirname(self.path), IMAP_PORT), self.connect_limit)
        sock.settimeout(self.limit)
        return sock


class Hasty(Tcp):
    """Finds out soon that nobody is there."""

    connect_limit = 0.5
    limit = 5


def lmtp(host, limit=300):
    return smtplib.LMTP(host, LMTP_PORT, timeout=limit)


imap.Imap = Tcp
imap.lmtp = lmtp


def text_of(user, word, rng):
    lines = [b"%x" % rng.getrandbits(200) for _ in range(rng.randrange(40))]
    return (b"Date: Mon, 29 Aug 2005 05:10:00 -0500\r\n"
            b"From: crossing@coast.example\r\nTo: %s@bay.example\r\n"
            b"Subject: %s\r\nMessage-ID: <%s@crossing.example>\r\n\r\n%s\r\n"
            % (user.encode(), word.encode(), word.encode(),
               b"\r\n".join(lines)))


def uids_of(session, mailbox):
    session.open_mailbox(mailbox)
    return session.ok(session.uid("SEARCH", "ALL"))[0].decode().split()


def live(host, user, seed):
    """Ten of each; what is in the mailboxes already is touched, too."""
    rng = random.Random("%s %s" % (user, seed))
    session = Tcp(host, user)
    there = session.names()
    fresh = "Season %s" % seed
    for name in (fresh, fresh + ".Inner"):
        session.ok(session.create(imap.quote(name)))
        session.ok(session.subscribe(imap.quote(name)))
    boxes = ["INBOX", fresh, fresh + ".Inner"] + rng.sample(there, 3)
    with lmtp(host) as post:
        for i in range(10):
            imap.send(post, rng, user, text_of(
                user, "live-%s-%s-%d" % (user, seed, i), rng))
    for i in range(10):
        session.deliver(
            rng.choice(boxes), imap.some(rng, imap.FLAGS + imap.KEYWORDS, 0.3),
            imaplib.Time2Internaldate(rng.randrange(1, 1_700_000_000)),
            text_of(user, "append-%s-%s-%d" % (user, seed, i), rng))
    done = collections.Counter()
    for name in boxes:
        for uid in uids_of(session, name):
            dice = rng.random()
            if dice < 0.3:
                session.store_flags(
                    uid, rng.choice(["FLAGS", "+FLAGS", "-FLAGS"]),
                    imap.some(rng, imap.FLAGS + imap.KEYWORDS + ["autumn"],
                              0.3))
                done["flags"] += 1
            elif dice < 0.45:
                session.move(uid, rng.choice(
                    [box for box in boxes if box != name]))
                done["moves"] += 1
            elif dice < 0.5:
                session.expunge_one(uid)
                done["expunges"] += 1
    session.logout()
    print("life: 10 by LMTP, 10 by APPEND, 2 folders, " + ", ".join(
        "%d %s" % (n, what) for what, n in done.items()))


def post(host, word, users):
    for user in users:
        rng = random.Random("%s %s" % (user, word))
        with lmtp(host) as session:
            imap.send(session, rng, user, text_of(
                user, "lmtp-%s-%s" % (user, word), rng))
        session = Tcp(host, user)
        session.deliver("Archive", [], None, text_of(
            user, "append-%s-%s" % (user, word), rng))
        session.logout()


def change(host, user):
    session = Tcp(host, user)
    uids = uids_of(session, "INBOX")
    session.store_flags(uids[0], "+FLAGS", ["\\Flagged", "$MDNSent"])
    session.move(uids[1], "Archive")
    session.expunge_one(uids[2])
    session.logout()


class Busy:
    """One client with mail of its own.  Ready for everything to break."""

    boxes = ["INBOX", "Work", "Work.Storm"]

    def __init__(self, host, user):
        self.host, self.user = host, user
        self.rng = random.Random(user)
        self.session = self.poster = None
        self.messages = {}  # by word: [box, validity, UID, flags, sum, state]
        self.waiting = None  # what LMTP has not accepted yet
        self.acks = []
        self.failures = 0
        self.serial = 0

    def enter(self):
        if self.session is None:
            self.session = Hasty(self.host, self.user)
            there = self.session.names()
            for box in self.boxes:
                if box not in there:
                    self.session.create(imap.quote(box))

    def leave(self):
        for end in (self.session, self.poster):
            if end is not None:
                try:
                    end.sock.close()
                except (OSError, AttributeError):
                    pass
        self.session = self.poster = None

    def compose(self):
        self.serial += 1
        word = "busy-%s-%d" % (self.user, self.serial)
        return word, text_of(self.user, word, self.rng)

    def pick(self):
        """One that is where we know it to be; unsure until that is done."""
        sure = [m for m in self.messages.values()
                if m[5] == "sure" and m[2] is not None]
        if not sure:
            return None
        message = self.rng.choice(sure)
        message[5] = "unsure"
        if self.session.open_mailbox(message[0]) != message[1]:
            sys.exit("UIDVALIDITY of %s changed" % message[0])
        return message

    def append(self):
        word, text = self.compose()
        box = self.rng.choice(self.boxes)
        flags = imap.some(self.rng, imap.FLAGS + imap.KEYWORDS, 0.2)
        validity, uid = self.session.deliver(box, flags, None, text)
        self.messages[word] = [
            box, validity, uid, sorted(flags), sum_of(text), "sure"]

    def lmtp(self):
        """As a queue does: the same message until it is accepted."""
        if self.waiting is None:
            self.waiting = self.compose()
        word, text = self.waiting
        if self.poster is None:
            self.poster = lmtp(self.host, 5)
        imap.send(self.poster, self.rng, self.user, text)
        self.waiting = None
        self.messages[word] = ["INBOX", None, None, [], sum_of(text), "sure"]

    def flag(self):
        message = self.pick()
        if message is not None:
            flags = imap.some(self.rng, imap.FLAGS + imap.KEYWORDS, 0.3)
            self.session.store_flags(message[2], "FLAGS", flags)
            message[3], message[5] = sorted(flags), "sure"

    def move(self):
        message = self.pick()
        if message is not None:
            box = self.rng.choice([b for b in self.boxes if b != message[0]])
            message[1], message[2] = self.session.move(message[2], box)
            message[0], message[5] = box, "sure"

    def expunge(self):
        message = self.pick()
        if message is not None:
            self.session.expunge_one(message[2])
            message[5] = "gone"

    def step(self):
        try:
            self.enter()
            self.rng.choices(
                [self.append, self.lmtp, self.flag, self.move, self.expunge],
                [30, 25, 25, 12, 8])[0]()
            self.acks.append(now())
        except (OSError, EOFError, imaplib.IMAP4.error, imap.Failed,
                smtplib.SMTPException):
            self.failures += 1
            self.leave()
            time.sleep(AGAIN)

    def save(self, path):
        pauses = [(b - a, a) for a, b in zip(self.acks, self.acks[1:])]
        with open(path + ".new", "w", encoding="ascii") as file:
            json.dump({"acks": len(self.acks), "failures": self.failures,
                       "pause": max(pauses, default=(0, 0))[0],
                       "messages": self.messages}, file)
        os.replace(path + ".new", path)


def sum_of(text):
    """SHA-256 of the body; LMTP adds to the header on the way."""
    return hashlib.sha256(text.split(b"\r\n\r\n", 1)[1]).hexdigest()


def busy(host, user, truth):
    client = Busy(host, user)
    deadline = now() + 300
    left = None
    while left is None or len(client.acks) < left:
        client.step()
        time.sleep(PACE)
        if len(client.acks) == AFTER:
            client.save(truth)
        if left is None and os.path.exists(truth + ".stop"):
            left = len(client.acks) + AFTER
        if now() > deadline:
            sys.exit("not served again")
    client.save(truth)


def judge(host, user, truth):
    with open(truth, encoding="ascii") as file:
        truth = json.load(file)
    found = collections.defaultdict(list)
    session = Tcp(host, user)
    for box in session.names():
        validity = session.open_mailbox(box, readonly=True)
        for head, text in session.messages("FLAGS BODY.PEEK[]"):
            word = re.search(rb"(?m)^Message-ID: <([^@]*)@", text)
            flags = re.search(rb"FLAGS \(([^)]*)\)", head).group(1)
            flags = sorted(set(flags.decode().split()) - {"\\Recent"})
            uid = int(re.search(rb"UID (\d+)", head).group(1))
            found[word and word.group(1).decode()].append(
                [box, validity, uid, flags, sum_of(text)])
    session.logout()
    faults = doubled = sure = 0
    for word, (box, validity, uid, flags, body, state) in \
            truth["messages"].items():
        copies = found[word]
        if state == "gone":
            right = not copies
        elif state != "sure":
            continue
        elif uid is None:
            right = any(c[0] == box and c[4] == body for c in copies)
        else:
            right = copies == [[box, validity, uid, flags, body]]
        sure += 1
        doubled += len(copies) > 1
        if not right:
            faults += 1
            print("%s is %s, and was %s" % (
                word, copies, truth["messages"][word]))
    print("busy: %d operations acknowledged, %d failed; the longest pause "
          "%.2f s; %d of %d messages are to be judged, %d double, %d faults"
          % (truth["acks"], truth["failures"], truth["pause"], sure,
             len(truth["messages"]), doubled, faults))
    sys.exit(1 if faults or not sure else 0)


def read_listing(path):
    messages, promised = {}, {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            field = line.rstrip("\n").split("\t")
            if field[2] == "-":
                promised[field[0], field[1], field[3]] = int(
                    field[4].split()[1])
                validity = field[3]
            elif len(field) == 8:
                messages[field[0], field[1], validity,
                         int(field[2])] = field[7]
    return messages, promised


def beyond(seen, new):
    """All that clients were shown before; what they are shown now."""
    known, promised = {}, {}
    for path in seen:
        messages, uidnext = read_listing(path)
        known.update(messages)
        for box, uid in uidnext.items():
            promised[box] = max(uid, promised.get(box, 0))
    last = read_listing(seen[-1])[0]
    new, raised = read_listing(new)
    faults = fresh = 0
    for place, body in new.items():
        if place in known:
            if known[place] != body:
                faults += 1
                print("given twice: %r" % (place,))
            continue
        fresh += 1
        if place[3] < promised.get(place[:3], 0):
            faults += 1
            print("not beyond what was promised: %r" % (place,))
    for box, uid in raised.items():
        if uid < promised.get(box, 0):
            faults += 1
            print("UIDNEXT of %r fell from %d to %d" % (
                box, promised[box], uid))
    print("UIDs: of %d messages %d are gone, of %d there now %d are new; "
          "%d faults" % (len(last), len(set(last) - set(new)), len(new),
                         fresh, faults))
    sys.exit(1 if faults or not fresh else 0)


def main(arguments):
    if arguments[0] == "live":
        live(*arguments[1:4])
    elif arguments[0] == "post":
        post(arguments[1], arguments[2], arguments[3:])
    elif arguments[0] == "change":
        change(*arguments[1:3])
    elif arguments[0] == "busy":
        busy(*arguments[1:4])
    elif arguments[0] == "judge":
        judge(*arguments[1:4])
    elif arguments[0] == "beyond":
        beyond(arguments[1:-1], arguments[-1])
    else:
        imap.main(arguments)


if __name__ == "__main__":
    main(sys.argv[1:] if len(sys.argv) > 2 else ["", ""])
