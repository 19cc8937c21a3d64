"""A Maildir store under load without a mail server, and what is true of it.

    busy.py live STORE MESSAGES RATE TRUTH -- COMMAND...
	Brings the store to so many messages, then, from before COMMAND
	begins until it has ended, delivers, flags, moves (by rename, and as
	Dovecot does: a link under a new name, then unlink) and expunges, so
	many times a second in all.  Writes to the file TRUTH what was done,
	and when; the exit status is COMMAND's.

    busy.py judge REPLICA TRUTH
	No message that was there before COMMAND began, and that was not
	expunged before it ended, may be missing or have another content; each
	lies in a folder, and has flags, that it had at some moment of COMMAND.

All choices come from a seeded generator; only the times are the machine's.
"""

import collections
import hashlib
import json
import os
import random
import re
import subprocess
import sys
import time

USERS = ["ada", "ben"]
FOLDERS = ["", ".Archive", ".Archive.2005", ".Work", ".Storm"]
MIX = {"deliver": 40, "flag": 30, "move": 20, "expunge": 10}
WARM_UP = 0.3  # seconds before the command

now = time.monotonic


class Message:
    def __init__(self, ident, sha):
        self.ident = ident
        self.sha = sha
        self.delivered = None
        self.expunged = None  # when that was begun
        self.changes = []  # [begun, done, folder, flags]


class Store:
    def __init__(self, top):
        self.top = top
        self.rng = random.Random(2005)
        self.messages = {}
        self.paths = {}  # of messages that are there
        self.order = []  # their idents, for choosing
        self.serial = 0
        self.done = collections.Counter()
        self.times = []
        for user in USERS:
            for folder in FOLDERS:
                for part in ("cur", "new", "tmp"):
                    os.makedirs(os.path.join(top, user, folder, part))

    def base(self):
        self.serial += 1
        return "1132660000.M%dP7.metairie" % self.serial

    def folder(self):
        return "%s/%s" % (self.rng.choice(USERS), self.rng.choice(FOLDERS))

    def deliver(self):
        name = self.base()
        ident = "%d@busy.example" % self.serial
        size = int(self.rng.paretovariate(1.2) * 800) % 40000
        text = ("Message-ID: <%s>\nSubject: A busy day\n\n" % ident
                ).encode() + self.rng.randbytes(size // 2).hex().encode()
        message = Message(ident, hashlib.sha256(text).hexdigest())
        folder = self.folder()
        begun = now()
        temporary = os.path.join(self.top, folder, "tmp", name)
        with open(temporary, "wb") as file:
            file.write(text)
        path = os.path.join(self.top, folder, "new", name)
        os.rename(temporary, path)
        message.delivered = now()
        message.changes.append([begun, now(), folder, ""])
        self.messages[ident] = message
        self.paths[ident] = path
        self.order.append(ident)

    def pick(self):
        return self.messages[self.rng.choice(self.order)]

    def put(self, message, folder, name, flags, by_link=False):
        path = os.path.join(self.top, folder, "cur", "%s:2,%s" % (name, flags))
        begun = now()
        if by_link:
            os.link(self.paths[message.ident], path)
            os.unlink(self.paths[message.ident])
        else:
            os.rename(self.paths[message.ident], path)
        self.paths[message.ident] = path
        message.changes.append([begun, now(), folder, flags])

    def flag(self):
        message = self.pick()
        name = os.path.basename(self.paths[message.ident]).split(":")[0]
        flags = "".join(f for f in "DFRST" if self.rng.random() < 0.4)
        if flags != message.changes[-1][3] or "/new/" in \
                self.paths[message.ident]:
            self.put(message, message.changes[-1][2], name, flags)

    def move(self):
        message = self.pick()
        _, _, folder, flags = message.changes[-1]
        user = folder.split("/")[0]
        other = self.rng.choice(
            [f for f in ("%s/%s" % (user, f) for f in FOLDERS) if f != folder])
        if self.rng.random() < 0.5:
            name = os.path.basename(self.paths[message.ident]).split(":")[0]
            self.put(message, other, name, flags)
        else:
            self.put(message, other, self.base(), flags, by_link=True)

    def expunge(self):
        i = self.rng.randrange(len(self.order))
        message = self.messages[self.order[i]]
        message.expunged = now()
        os.unlink(self.paths.pop(message.ident))
        self.order[i] = self.order[-1]
        self.order.pop()

    def step(self):
        kind = self.rng.choices(list(MIX), list(MIX.values()))[0]
        getattr(self, kind)()
        self.done[kind] += 1
        self.times.append(now())


def live(top, count, rate, truth_file, command):
    store = Store(top)
    while len(store.order) < count:
        store.deliver()
    for _ in range(count // 2):
        store.flag()
    process = None
    turn = first = now()
    while process is None or process.poll() is None:
        if process is None and now() - first > WARM_UP:
            begin = now()
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        if process is not None and now() - begin > 900:
            process.kill()
        store.step()
        turn = max(turn + 1 / rate, now() - 0.2)
        time.sleep(max(0, turn - now()))
    end = now()
    during = sum(begin <= t <= end for t in store.times)
    print("busy: %.2f s, %d operations meanwhile, %.0f a second (%s)" % (
        end - begin, during, during / (end - begin),
        ", ".join("%d %s" % (n, k) for k, n in store.done.items())))
    with open(truth_file, "w", encoding="ascii") as file:
        json.dump({"begin": begin, "end": end, "during": during,
                   "messages": [vars(m) for m in store.messages.values()]},
                  file)
    sys.exit(process.returncode)


def judge(top, truth_file):
    with open(truth_file, encoding="ascii") as file:
        truth = json.load(file)
    begin, end = truth["begin"], truth["end"]
    copies = collections.defaultdict(list)
    for where, _, names in os.walk(top):
        part = os.path.basename(where)
        if part not in ("cur", "new"):
            continue
        folder = os.path.relpath(os.path.dirname(where), top)
        for name in names:
            with open(os.path.join(where, name), "rb") as file:
                text = file.read()
            found = re.match(rb"Message-ID: <([^>]*)>", text)
            copies[found and found.group(1).decode()].append(
                (folder, name.partition(":2,")[2],
                 hashlib.sha256(text).hexdigest()))
    faults = collections.Counter()
    due = doubled = 0

    def fault(kind, message, detail):
        faults[kind] += 1
        if faults[kind] <= 5:
            print("%s: %s: %s" % (kind, message["ident"], detail))

    known = {m["ident"]: m for m in truth["messages"]}
    for ident, found in copies.items():
        if ident not in known:
            fault("unknown", {"ident": ident}, found)
        doubled += len(found) - 1
    for message in truth["messages"]:
        expunged = message["expunged"]
        if message["delivered"] > begin or \
                (expunged is not None and expunged <= end):
            continue
        due += 1
        found = copies[message["ident"]]
        changes = message["changes"]
        states = [
            (change[2].rstrip("/"), change[3])
            for i, change in enumerate(changes)
            if change[0] <= end and
            (i + 1 == len(changes) or changes[i + 1][1] >= begin)]
        if not found:
            fault("missing", message, "was in %s" % states)
        elif any(copy[2] != message["sha"] for copy in found):
            fault("other content", message, found)
        elif not any(copy[:2] in states for copy in found):
            fault("where or as it never was", message,
                  "%s; was in %s" % (found, states))
    print("judged: %d messages were due, %d are double; %s" % (
        due, doubled, ", ".join("%d %s" % (n, kind)
                                for kind, n in faults.items()) or "no fault"))
    sys.exit(1 if faults or not due else 0)


def main(arguments):
    if arguments[:1] == ["live"] and arguments[5:6] == ["--"]:
        top, count, rate, truth = arguments[1:5]
        live(top, int(count), float(rate), truth, arguments[6:])
    elif arguments[:1] == ["judge"] and len(arguments) == 3:
        judge(arguments[1], arguments[2])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
