"""A morning at the office: what six people and their mail server do to a store.

    office.py morning DIR USER...   mail comes in, is read, filed, thrown away
    office.py newest DIR USER       the UID of the newest message in INBOX

DIR is that of dovecot.sh.  morning does the same to the same store every time,
by LMTP and IMAP, and prints a line each: what, how many, of how many bytes.
"""

import random
import re
import sys

import imap

WORDS = ("the water river levee pump roof road truck disk office letter invoice"
         " please call back when line is up again we are fine and dry so far"
         " insurance photograph meeting moved to Shreveport until further"
         " notice regards thanks attached below").split()


def letter(rng, number):
    lines = [" ".join(rng.choices(WORDS, k=10))
             for _ in range(rng.randint(5, 60))]
    return ("Date: Mon, 29 Aug 2005 09:%02d:00 -0500\n"
            "From: Nell <nell@coast.example>\n"
            "To: all@metairie.example\n"
            "Subject: After the storm, %d\n"
            "Message-ID: <%d.storm@coast.example>\n\n%s\n" % (
                number % 60, number, number, "\n".join(lines))).encode()


def sizes(session):
    """UID and size of all messages in the mailbox that is open."""
    found = []
    for line in session.ok(session.uid("FETCH", "1:*", "(RFC822.SIZE)")):
        if line is not None:
            found.append((int(re.search(rb"UID (\d+)", line).group(1)),
                          int(re.search(rb"SIZE (\d+)", line).group(1))))
    return found


def morning(directory, users):
    rng = random.Random(29)
    done = {what: [0, 0] for what in ("delivered", "flagged", "moved",
                                      "deleted")}

    def count(what, size):
        done[what][0] += 1
        done[what][1] += size

    post = imap.lmtp(directory)
    for number, user in enumerate(users * 4):
        text = letter(rng, number)
        imap.send(post, rng, user, text)
        count("delivered", len(text))
    post.quit()
    for user in users:
        session = imap.Imap(directory, user)
        folders = [name for name in session.names() if name != "INBOX"]
        session.open_mailbox("INBOX")
        there = sizes(session)
        # The largest ones are filed, as people do when their quota is near.
        largest = sorted(there, key=lambda entry: -entry[1])[:3]
        for uid, size in largest:
            session.move(uid, rng.choice(folders))
            count("moved", size)
        rest = sorted(set(there) - set(largest))
        for uid, size in rest[-12:-1]:
            session.store_flags(uid, "+FLAGS", rng.choice(
                [["\\Seen"], ["\\Seen", "\\Answered"], ["\\Flagged"]]))
            count("flagged", size)
        session.expunge_one(rest[0][0])
        count("deleted", rest[0][1])
        session.logout()
    for what, (messages, size) in done.items():
        print(what, messages, size)


def newest(directory, user):
    session = imap.Imap(directory, user)
    session.open_mailbox("INBOX", readonly=True)
    print(max(uid for uid, _ in sizes(session)))
    session.logout()


def main(arguments):
    if arguments[:1] == ["morning"] and len(arguments) > 2:
        morning(arguments[1], arguments[2:])
    elif arguments[:1] == ["newest"] and len(arguments) == 3:
        newest(arguments[1], arguments[2])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
