"""Clients that use a store while something is done to it, and what is true.

    life.py live DIR MESSAGES MIX TRUTH USER... -- COMMAND...
	Brings the users' mailboxes to so many messages, then lives: two
	clients a user append, deliver by LMTP, flag, move and expunge, from
	before COMMAND begins until after it has ended.  MIX is how much of
	each they do: "usual", or "moves".  Writes to the file
	TRUTH all that the server acknowledged, and when; the exit status is
	COMMAND's.  What an earlier run left in the mailboxes is taken over.

    life.py judge DIR TRUTH
	Looks at the server of DIR, which serves the copy that COMMAND led to.
	No message that was acknowledged before COMMAND began, and that no
	client expunged before it ended, may be missing or have another body.
	Where it was not moved meanwhile, it has the UID it had; its flags are
	those it had at some moment of COMMAND.  A message may be double, as
	one that was renamed while it was looked at is.

DIR is that of dovecot.sh.  Times are of CLOCK_MONOTONIC, so live and judge
need not run at the same time, but on the same machine.
"""

import collections
import hashlib
import json
import random
import re
import subprocess
import sys
import threading
import time

import imap

BOXES = ["INBOX", "Archive", "Archive.2005", "Work", "Work.Storm"]
WARM_UP = 15  # operations of each client before the command, and after
PACE = 0.1  # seconds from one operation of a client to its next
MIXES = {
    "usual": {"append": 25, "lmtp": 20, "flag": 30, "move": 17, "expunge": 8},
    "moves": {"append": 8, "lmtp": 8, "flag": 20, "move": 55, "expunge": 9},
}

now = time.monotonic


class Message:
    """What was asked for and acknowledged.  A change is [asked, acknowledged,
    value]: it happened somewhere between the two."""

    def __init__(self, ident, user, body):
        self.ident = ident
        self.user = user
        self.body = body  # SHA-256 of what follows the header
        self.acknowledged = None
        self.expunged = None  # when that was asked for
        self.flags = []  # changes: sorted lists
        self.places = []  # changes: [mailbox, UIDVALIDITY, UID, known since]


def sum_of(text):
    """SHA-256 of the body; LMTP adds to the header on the way."""
    return hashlib.sha256(text.split(b"\r\n\r\n", 1)[1]).hexdigest()


def ident_of(head):
    match = re.search(rb"(?im)^Message-ID: <([^>]*@live\.example)>", head)
    return match.group(1).decode() if match else None


class Client(threading.Thread):
    """One mail program.  It only touches messages that are its own."""

    def __init__(self, directory, user, number, mix, stop):
        super().__init__()
        self.kinds = list(MIXES[mix])
        self.weights = list(MIXES[mix].values())
        self.directory = directory
        self.user = user
        self.number = number
        self.stop = stop
        self.rng = random.Random("%s %d" % (user, number))
        self.session = imap.Imap(directory, user)
        self.post = imap.lmtp(directory)
        self.messages = {}
        self.done = collections.Counter()
        self.times = []  # when each operation was acknowledged
        self.highest = 0  # UID in INBOX that we looked at
        self.serial = 0
        self.error = None

    def prepare(self, count):
        """Adopts what is there, and brings it to so many messages."""
        there = self.session.names()
        for box in BOXES:
            if box not in there:
                self.session.ok(self.session.create(imap.quote(box)))
        for box in BOXES:
            validity = self.session.open_mailbox(box)
            if box == "INBOX":
                self.highest = self.session.uidnext - 1
            for head, text in self.session.messages("FLAGS BODY.PEEK[]"):
                ident = ident_of(text)
                if not ident or not ident.endswith(self.mark()):
                    continue
                message = Message(ident, self.user, sum_of(text))
                uid = int(re.search(rb"UID (\d+)", head).group(1))
                flags = re.search(rb"FLAGS \(([^)]*)\)", head).group(1)
                moment = now()
                message.acknowledged = moment
                message.flags.append(
                    [moment, moment, plain(flags.decode().split())])
                message.places.append(
                    [moment, moment, [box, validity, uid, moment]])
                self.messages[ident] = message
                self.serial = max(self.serial, int(ident.split(".")[0]))
        while len(self.messages) < count:
            self.append_many(min(100, count - len(self.messages)))

    def mark(self):
        return ".%s.%d@live.example" % (self.user, self.number)

    def compose(self):
        self.serial += 1
        ident = "%d%s" % (self.serial, self.mark())
        size = int(self.rng.paretovariate(1.1) * 1500) % 60000
        words = [b"%x" % self.rng.getrandbits(24) for _ in range(size // 7)]
        lines = [b" ".join(words[i:i + 10]) for i in range(0, len(words), 10)]
        text = (b"Date: Mon, 29 Aug 2005 05:10:00 -0500\r\n"
                b"From: %s@live.example\r\nTo: list@live.example\r\n"
                b"Subject: Message %d of a busy day\r\n"
                b"Message-ID: <%s>\r\n\r\n%s\r\n" % (
                    self.user.encode(), self.serial, ident.encode(),
                    b"\r\n".join(lines)))
        return Message(ident, self.user, sum_of(text)), text

    def pick(self):
        """A message of ours whose UID we know, and where it is."""
        for _ in range(10):
            if not self.messages:
                return None
            message = self.messages[self.rng.choice(list(self.messages))]
            if message.expunged is None and message.places[-1][2][2]:
                return message
        return None

    def enter(self, message):
        box, validity, uid, _ = message.places[-1][2]
        if self.session.open_mailbox(box) != validity:
            raise imap.Failed("UIDVALIDITY of %s changed" % box)
        return box, uid

    def append(self):
        self.append_many(1)

    def append_many(self, count):
        box = self.rng.choice(BOXES)
        batch = []
        for _ in range(count):
            message, text = self.compose()
            flags = plain(imap.some(
                self.rng, imap.FLAGS + imap.KEYWORDS, 0.2))
            batch.append((message, flags, text))
        asked = now()
        validity, uid = self.session.deliver_many(
            box, [(flags, text) for _, flags, text in batch])
        done = now()
        for i, (message, flags, _) in enumerate(batch):
            message.acknowledged = done
            message.flags.append([asked, done, flags])
            message.places.append(
                [asked, done, [box, validity, uid + i, done]])
            self.messages[message.ident] = message

    def lmtp(self):
        message, text = self.compose()
        asked = now()
        self.post.sendmail(
            "sender@live.example", [self.user + "@bay.example"], text)
        done = now()
        message.acknowledged = done
        message.flags.append([asked, done, []])
        message.places.append([asked, done, ["INBOX", None, None, None]])
        self.messages[message.ident] = message
        if self.rng.random() < 0.5:
            self.look()

    def look(self):
        """Learns the UIDs of what LMTP put into INBOX."""
        validity = self.session.open_mailbox("INBOX")
        answer = self.session.ok(self.session.uid(
            "FETCH", "%d:*" % (self.highest + 1),
            "(UID BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])"))
        moment = now()
        for part in answer:
            if not isinstance(part, tuple):
                continue
            uid = int(re.search(rb"UID (\d+)", part[0]).group(1))
            self.highest = max(self.highest, uid)
            message = self.messages.get(ident_of(part[1]))
            if message and message.places[-1][2][:3] == ["INBOX", None, None]:
                message.places[-1][2] = ["INBOX", validity, uid, moment]

    def flag(self):
        message = self.pick()
        if message is None:
            return
        _, uid = self.enter(message)
        how = self.rng.choice(["FLAGS", "+FLAGS", "-FLAGS"])
        flags = set(imap.some(self.rng, imap.FLAGS + imap.KEYWORDS, 0.3))
        before = set(message.flags[-1][2])
        after = {"FLAGS": flags, "+FLAGS": before | flags,
                 "-FLAGS": before - flags}[how]
        asked = now()
        self.session.store_flags(uid, how, sorted(flags))
        message.flags.append([asked, now(), plain(after)])

    def move(self):
        message = self.pick()
        if message is None:
            return
        box, uid = self.enter(message)
        other = self.rng.choice([b for b in BOXES if b != box])
        asked = now()
        validity, uid = self.session.move(uid, other)
        done = now()
        message.places.append([asked, done, [other, validity, uid, done]])

    def expunge(self):
        message = self.pick()
        if message is None:
            return
        _, uid = self.enter(message)
        message.expunged = now()
        self.session.expunge_one(uid)

    def step(self):
        kind = self.rng.choices(self.kinds, self.weights)[0]
        getattr(self, kind)()
        self.done[kind] += 1
        self.times.append(now())

    def run(self):
        turn = now()
        try:
            while not self.stop.is_set() or self.remaining > 0:
                self.step()
                turn = max(turn + PACE, now() - PACE)
                time.sleep(max(0, turn - now()))
                if self.stop.is_set():
                    self.remaining -= 1
                else:
                    self.remaining = WARM_UP
            self.session.logout()
            self.post.quit()
        except Exception as error:  # told by the main thread
            self.error = error

    remaining = WARM_UP


def plain(flags):
    return sorted(set(flags) - {"\\Recent"})


def live(directory, count, mix, truth_file, users, command):
    stop = threading.Event()
    clients = [Client(directory, user, number, mix, stop)
               for user in users for number in (1, 2)]
    for client in clients:
        client.prepare(count // len(clients))
    for client in clients:
        client.start()
    while any(len(c.times) < WARM_UP and c.is_alive() for c in clients):
        time.sleep(0.01)

    begin = now()
    status = subprocess.run(
        command, stdin=subprocess.DEVNULL, timeout=900).returncode
    end = now()

    stop.set()
    for client in clients:
        client.join(600)
        if client.is_alive() or client.error:
            sys.exit("client %s %d: %r" % (
                client.user, client.number, client.error or "hangs"))
    during = sum(begin <= t <= end for c in clients for t in c.times)
    print("life: %.2f s, %d operations acknowledged meanwhile (%s)" % (
        end - begin, during, ", ".join(
            "%d %s" % (sum(c.done[kind] for c in clients), kind)
            for kind in MIXES[mix])))
    with open(truth_file, "w", encoding="ascii") as file:
        json.dump({
            "begin": begin, "end": end, "during": during,
            "messages": [vars(m) for c in clients
                         for m in c.messages.values()]}, file)
    sys.exit(status)


def possible(changes, begin, end):
    """The values that were true at some moment between begin and end."""
    found = []
    for i, (asked, _, value) in enumerate(changes):
        followed = changes[i + 1][1] if i + 1 < len(changes) else end + 1
        if asked <= end and followed >= begin:
            found.append(value)
    return found


def judge(directory, truth_file):
    with open(truth_file, encoding="ascii") as file:
        truth = json.load(file)
    begin, end = truth["begin"], truth["end"]

    copies = collections.defaultdict(list)
    for user in sorted({m["user"] for m in truth["messages"]}):
        session = imap.Imap(directory, user)
        for box in session.names():
            try:
                validity = session.open_mailbox(box, readonly=True)
            except TimeoutError:
                sys.exit("judged: %s of %s does not open; was a lock "
                         "copied?" % (box, user))
            for head, text in session.messages("FLAGS BODY.PEEK[]"):
                uid = int(re.search(rb"UID (\d+)", head).group(1))
                flags = re.search(rb"FLAGS \(([^)]*)\)", head).group(1)
                copies[user, ident_of(text)].append(
                    ([box, validity, uid], plain(flags.decode().split()),
                     sum_of(text)))
        session.logout()

    faults = collections.Counter()
    doubled = due = still = 0

    def fault(kind, message, detail):
        faults[kind] += 1
        if faults[kind] <= 5:
            print("%s: %s %s: %s" % (
                kind, message["user"], message["ident"], detail))

    for message in truth["messages"]:
        expunged = message["expunged"]
        if message["acknowledged"] > begin or \
                (expunged is not None and expunged <= end):
            continue
        due += 1
        places = possible(message["places"], begin, end)
        flags = possible(message["flags"], begin, end)
        found = copies[message["user"], message["ident"]]
        if not found:
            fault("missing", message, "was in %s" % places)
            continue
        doubled += len(found) > 1
        # One copy has to be right; another may be left over from a move.
        boxes = [place[0] for place in places]
        is_still = len(places) == 1 and places[0][3] and places[0][3] <= begin
        still += bool(is_still)
        for kind, is_right in (
                ("other body", lambda copy: copy[2] == message["body"]),
                ("where it never was", lambda copy: copy[0][0] in boxes),
                ("other UID", lambda copy: not is_still or
                 copy[0] == places[0][:3]),
                ("flags it never had", lambda copy: copy[1] in flags)):
            right = [copy for copy in found if is_right(copy)]
            if not right:
                fault(kind, message, "%s; was in %s with flags %s" % (
                    found, places, flags))
                break
            found = right
    print("judged: %d messages were due, %d of them unmoved; %d are double; "
          "%s" % (due, still, doubled, ", ".join(
              "%d %s" % (n, kind) for kind, n in faults.items())
              or "no fault"))
    sys.exit(1 if faults or not due else 0)


def main(arguments):
    if arguments[:1] == ["live"] and "--" in arguments:
        split = arguments.index("--")
        directory, count, mix, truth = arguments[1:5]
        live(directory, int(count), mix, truth, arguments[5:split],
             arguments[split + 1:])
    elif arguments[:1] == ["judge"] and len(arguments) == 3:
        judge(arguments[1], arguments[2])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
