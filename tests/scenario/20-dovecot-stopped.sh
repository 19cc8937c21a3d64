#!/bin/sh
# A store that Dovecot made is seeded while Dovecot is stopped.  At the other
# site another Dovecot serves what was received: to a client nothing changed.
. "$(dirname "$0")/lib.sh"
. "$here/sites.sh"
. "$here/dovecot.sh"
dovecot_need
need mbsync mtree

users="ada ben cleo dana"
a=$tmp/a b=$tmp/b store=$tmp/vmail medium=$tmp/medium replica=$tmp/replica
mkdir "$store" "$medium" "$replica"
chmod 755 "$tmp"
chown $dovecot_owner:$dovecot_owner "$store"

# mbsync_at DIR: a client's mirror of ben's mail, at whichever site
mbsync_at() {
	cat >"$tmp/mbsyncrc" <<END
IMAPAccount site
Tunnel "python3 '$here/imap.py' relay '$1'"
User ben
Timeout 300
Pass secret
SSLType None
AuthMechs LOGIN

IMAPStore far
Account site

MaildirStore near
Path $tmp/mirror/
Inbox $tmp/mirror/INBOX
SubFolders Verbatim

Channel ben
Far :far:
Near :near:
Patterns *
Create Near
Expunge None
SyncState *
END
	mkdir -p "$tmp/mirror"
	mbsync -Dn -c "$tmp/mbsyncrc" ben >"$tmp/mbsync.out" 2>&1 || {
		tail -n 5 "$tmp/mbsync.out"
		return 1
	}
}

# What mbsync asked for: bodies that it fetched and kept, and its files.  It
# never keeps a message without an end of the header, and asks again each time.
fetched() {
	echo $(($(grep -ac 'UID FETCH .*BODY.PEEK\[\]' "$tmp/mbsync.out") -
	    $(grep -ac 'incomplete header; skipping' "$tmp/mbsync.out")))
}
mirror_files() {
	find "$tmp/mirror" -type f -name '*,U=*' -printf '%i %s %P\n' |
	    sed 's/:2,.*//' | sort
}

check "Dovecot starts at the first site" \
    dovecot_start "$tmp/dovecot-a" "$store" metairie
check "mail is delivered, flagged, moved, expunged" \
    python3 "$here/imap.py" fill "$tmp/dovecot-a" 600 $users
check "mbsync fetches all of it" mbsync_at "$tmp/dovecot-a"
mirror_files >"$tmp/mirror-a"
check "message for message ($(fetched))" \
    [ "$(fetched)" -eq "$(wc -l <"$tmp/mirror-a")" ]
check "and that is a good number" [ "$(fetched)" -gt 99 ]
python3 "$here/imap.py" listing "$tmp/dovecot-a" $users >"$tmp/listing-a" ||
    fail "the first site lists its mail"
check "Dovecot stops" dovecot_stop "$tmp/dovecot-a"

check "the first site is made" site_init "$a" metairie
check "the second site is made" site_init "$b" shreveport
check "they trust each other" site_pair "$a" "$b"
check "the store is declared" site "$a" store add mail "$store"
check "the store is seeded" \
    site "$a" seed mail --for shreveport --to "$medium"
check "the seed verifies at the second site" site "$b" verify "$medium"
check "the seed is received" \
    site "$b" receive "$medium" --store mail --root "$replica"

site "$a" status mail --json >"$tmp/status-a"
site "$b" status mail --json >"$tmp/status-b"
digest=$(site_field "$tmp/status-a" 'stores[0].digest')
check "there is a state digest ($digest)" \
    sh -c 'echo "$1" | grep -Eq "^[0-9a-f]{64}$"' sh "$digest"
check "the state digests are equal" \
    [ "$digest" = "$(site_field "$tmp/status-b" 'stores[0].digest')" ]
check "entries and bytes are equal" \
    [ "$(site_field "$tmp/status-a" 'stores[0]|[.entries,.bytes]|@csv')" = \
    "$(site_field "$tmp/status-b" 'stores[0]|[.entries,.bytes]|@csv')" ]

site "$a" ls mail --mtree >"$tmp/mtree" || fail "ls --mtree prints"
check "mtree finds the replica equal to the store" \
    mtree -f "$tmp/mtree" -p "$replica"
site "$b" ls mail --mtree >"$tmp/mtree-b" || fail "ls --mtree prints"
check "mtree finds the store equal to the replica" \
    sh -c 'mtree -f "$1" -p "$2" >"$1.out"
	! grep -vE "^extra: .*(/tmp|\.lock|/dovecot\.index\.cache)$" \
	    "$1.out"' \
    sh "$tmp/mtree-b" "$store"

check "Dovecot starts at the second site" \
    dovecot_start "$tmp/dovecot-b" "$replica" shreveport
python3 "$here/imap.py" listing "$tmp/dovecot-b" $users >"$tmp/listing-b" ||
    fail "the second site lists its mail"
check "all mailboxes are equal ($(wc -l <"$tmp/listing-a") lines)" \
    diff -u "$tmp/listing-a" "$tmp/listing-b"
check "Dovecot has nothing to complain of" \
    dovecot_is_content "$tmp/dovecot-b"

# A flag that the client set meanwhile reaches its message, and no other.
line=$(grep '^ben	INBOX	0' "$tmp/listing-a" | grep -v Flagged | head -n 1)
uid=$(echo "$line" | cut -f 3 | sed 's/^0*//')
near=$(awk -v far="$uid" '$1 == far { print $2 }' \
    "$tmp/mirror/INBOX/.mbsyncstate")
file=$(find "$tmp/mirror/INBOX" -name "*,U=$near" -o -name "*,U=$near:2,*")
case $file in
*:2,*) flagged=$(basename "$file" | sed 's/:2,D\{0,1\}/&F/') ;;
*) flagged=$(basename "$file"):2,F ;;
esac
check "a flag is set in the mirror, off-line" \
    mv "$file" "$tmp/mirror/INBOX/cur/$flagged"
mirror_files >"$tmp/mirror-a"
check "mbsync goes on at the second site" mbsync_at "$tmp/dovecot-b"
mirror_files >"$tmp/mirror-b"
check "mbsync fetches nothing again" [ "$(fetched)" -eq 0 ]
check "its mirror has the same files" diff "$tmp/mirror-a" "$tmp/mirror-b"
python3 "$here/imap.py" listing "$tmp/dovecot-b" $users >"$tmp/listing-c"
check "a flag set off-line reaches its message, and only it" \
    sh -c 'diff "$1" "$2" | grep "^[<>]" >"$3/difference"
	[ "$(wc -l <"$3/difference")" -eq 2 ] &&
	grep -q "^> ben	INBOX	0*$4	.*Flagged" "$3/difference"' \
    sh "$tmp/listing-b" "$tmp/listing-c" "$tmp" "$uid"
check "a new message gets the next UID" sh -c '
	python3 "$1/imap.py" deliver "$2" ben "$3" &&
	python3 "$1/imap.py" listing "$2" ben >"$4/listing-d" &&
	next=$(grep "^ben	INBOX	-" "$4/listing-c" |
	    sed "s/.*UIDNEXT \([0-9]*\).*/\1/") &&
	grep -q "^ben	INBOX	0*$next	" "$4/listing-d"' \
    sh "$here" "$tmp/dovecot-b" "$root/tests/vectors/mail/01-plain.eml" "$tmp"
check "Dovecot stops at the second site" dovecot_stop "$tmp/dovecot-b"
finish
