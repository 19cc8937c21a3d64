#!/bin/sh
# A root that is the output of a command: the user database of a mail service
# crosses with the mail, by seed, by line and by switchover; and a command that
# fails, hangs, prints nothing or too much costs only itself.
. "$(dirname "$0")/lib.sh"
. "$here/sites.sh"
. "$here/linked.sh"
need sqlite3 jq mtree rsync python3

a=$tmp/a b=$tmp/b
mkdir "$a" "$b" "$tmp/mail" "$tmp/medium" "$tmp/replica"
mkdir -p "$tmp/mail/ann/new" "$tmp/mail/ann/cur" "$tmp/mail/ann/tmp"
echo one >"$tmp/mail/ann/new/1.a.b"
db=$tmp/users.db
sqlite3 "$db" 'create table users(name, home); insert into users
	values("ann", "/home/ann")'
# Does as the operator's state of mind says; else dumps the users.
cat >"$tmp/dump" <<END
#!/bin/sh
[ ! -f "$tmp/mood" ] || . "$tmp/mood"
exec sqlite3 "$db" .dump
END
chmod 755 "$tmp/dump"
mood() {
	echo "$1" >"$tmp/mood"
}
says() {
	says_what=$1
	shift
	"$@" >"$tmp/says" 2>&1
	says_status=$?
	grep -qF -e "$says_what" "$tmp/says" && return "$says_status"
	echo "did not say: $says_what (status $says_status)"
	cat "$tmp/says"
	return 99
}
spool=$a/commands/mail/users
is_dump_of() {
	rm -f "$tmp/restored.db"
	sqlite3 "$tmp/restored.db" <"$1" &&
	    [ "$(sqlite3 "$tmp/restored.db" 'select name from users' |
		tr '\n' ' ')" = "$2" ]
}
generation() {
	site "$1" status mail --json | jq -r '.stores[0].generation'
}

site_init "$a" metairie >/dev/null && site_init "$b" shreveport >/dev/null
site_link "$a" "$b" >/dev/null

# --- declaring -------------------------------------------------------------

check_status 2 "a program that is not there is refused" says "no program" \
    site "$a" store add mail --command users=no-such-program
check_status 2 "and a path that is not absolute" says "absolute" \
    site "$a" store add mail --command users=./dump
check_status 2 "and a quote without an end" says "quote" \
    site "$a" store add mail --command "users=$tmp/dump 'x"
chmod 777 "$tmp/dump"
check_status 2 "and a program that everybody may write" says "o-w" \
    site "$a" store add mail --command "users=$tmp/dump"
chmod 755 "$tmp/dump"
check_status 7 "and a root among the keys of the site" says "holds the keys" \
    site "$a" store add mail "$a/keys"
check "a store with a command is declared" \
    site "$a" store add mail vmail="$tmp/mail" --command "users=$tmp/dump"
check "the configuration has its line" \
    grep -qxF "command = users=$tmp/dump" "$a/causeway.conf"
check "words may be quoted, no shell reads them" site "$a" store add odd \
    --command "words=/usr/bin/printf '%s|' \"a  b\" '\$HOME' * \\n 'it'\"'\"s"
check "they are scanned" site "$a" scan odd
printf 'a  b|$HOME|*|\\n|it'"'"'s|' >"$tmp/words"
check "and came as they were written" \
    cmp "$tmp/words" "$a/commands/odd/words/output"
check "its environment is plain" sh -c '
	"$CAUSEWAY" --home "$1" store add env --command "env=env" &&
	    EVIL=1 "$CAUSEWAY" --home "$1" scan env &&
	    ! grep -q EVIL "$1/commands/env/env/output" &&
	    grep -qx CAUSEWAY_ROOT=env "$1/commands/env/env/output" &&
	    grep -q "^HOME=/" "$1/commands/env/env/output"' sh "$a"

# --- scanning --------------------------------------------------------------

check "a scan runs it" site "$a" scan mail --contents
check "and has what it printed" is_dump_of "$spool/output" "ann "
[ "$(stat -c '%a %a' "$spool/output" "$spool" | tr '\n' ' ')" = \
    "600 600 700 700 " ] || fail "output and directory are private"
before=$(generation "$a") ino=$(stat -c %i "$spool/output")
check "another scan" site "$a" scan mail
[ "$(generation "$a")" = "$before" ] &&
    [ "$(stat -c %i "$spool/output")" = "$ino" ] ||
    fail "the same output is no new generation"
sqlite3 "$db" 'insert into users values("ben", "/home/ben")'
check "a new user makes a new generation" site "$a" scan mail
[ "$(generation "$a")" -gt "$before" ] || fail "it is greater"
check "with both" is_dump_of "$spool/output" "ann ben "

# --- failing, hanging, huge, silent ----------------------------------------

# stays CLAIM WORDS: a scan ends with 4, says WORDS and keeps the old output,
# but takes the mail that has come.
stays() {
	stays_count=$((${stays_count:-0} + 1))
	echo "$stays_count" >"$tmp/mail/ann/new/$stays_count.c.d"
	check_status 4 "$1: the scan says so" says "$2" site "$a" scan mail
	check "$1: the old output stays" is_dump_of "$spool/output" "ann ben "
	check "$1: what else has come is taken" sh -c '
		"$CAUSEWAY" --home "$1" ls mail:vmail/ann/new |
		    grep -q "$2.c.d"' sh "$a" "$stays_count"
	[ "$(ls -A "$spool")" = output ] || fail "$1: nothing is left behind"
}
mood 'echo half; echo the database is locked >&2; exit 3'
stays "a failing command" "status 3; it printed: the database is locked"
check "status names it" says "the database is locked" site "$a" status mail
check "also to scripts" sh -c '"$CAUSEWAY" --home "$1" status mail --json |
	jq -e ".stores[0].roots[] | select(.name == \"users\") |
	    .stale and (.failure | contains(\"status 3\"))"' sh "$a"
check_status 4 "the object of scan has the error inside" sh -c '
	"$CAUSEWAY" --home "$1" scan mail --json >"$2"
	status=$?
	jq -e ".error.code == \"missing\" and .entries > 0" "$2" && exit $status
	' sh "$a" "$tmp/json"
mood 'exit 0'
stays "a command that prints nothing" "printed nothing"
mood 'kill -9 $$'
stays "a command that is killed" "killed by signal 9"
mood 'echo half; sleep 60 & exit 0'
sed -i '/^command = users/a timeout = 3s\nlimit = 4k' "$a/causeway.conf"
stays "output that a child holds open" "did not close its output within"
mood 'trap "" TERM; echo half; while :; do sleep 1; done'
stays "a command that hangs and ignores SIGTERM" "did not end within 3.0 s"
sed -i '/^timeout = 3s/d' "$a/causeway.conf"
mood 'exec yes'
stays "a command that prints without end" "printed more than 4.10 kB"
mood 'rm "$0"; exit 1'
cp "$tmp/dump" "$tmp/dump.kept"
stays "a command that removes its program" "status 1"
stays "a program that is gone" "$tmp/dump: No such file"
mv "$tmp/dump.kept" "$tmp/dump"
rm "$tmp/mood"
check "when it works again, so does the scan" site "$a" scan mail
check "and status has nothing to say" sh -c '
	"$CAUSEWAY" --home "$1" status mail --json |
	    jq -e ".stores[0].roots | all(.stale | not)"' sh "$a"

# Killed in the middle of an output.
before=$(sha256sum <"$spool/output")
mood "echo half of it; echo \$\$ >'$tmp/printed'; exec sleep 60"
"$CAUSEWAY" --home "$a" scan mail >/dev/null 2>&1 &
killed=$!
await "the command prints" test -s "$tmp/printed"
await "which is taken into a file of its own" test -s "$spool/.output.new"
kill -9 "$killed"
wait "$killed" 2>/dev/null
kill -9 "$(cat "$tmp/printed")"
check "a kill leaves the old output" [ "$(sha256sum <"$spool/output")" = \
    "$before" ]
rm "$tmp/mood"
check "the next scan" site "$a" scan mail
check "and nothing of the killed one is left" [ ! -e "$spool/.output.new" ]
check "nor in the generation" sh -c \
    '! "$CAUSEWAY" --home "$1" ls -r mail | grep -q "output.new"' sh "$a"

mood 'echo $$ >'"$tmp"'/pid; sleep 60'
"$CAUSEWAY" --home "$a" scan mail >"$tmp/scan.out" 2>&1 &
scan=$!
await "the command runs" [ -s "$tmp/pid" ]
kill -TERM $scan
wait $scan
stopped=$?
[ $stopped -eq 1 ] || fail "a scan that is asked to end does, with 1: $stopped"
await "its command has ended with it" sh -c \
    '! kill -0 "$(cat "$1")"' sh "$tmp/pid"
rm "$tmp/mood"

# --- a seed ----------------------------------------------------------------

mood 'exit 3'
check_status 4 "a seed without the present output says so" \
    says "older output" site "$a" seed mail --for shreveport --to "$tmp/medium"
rm -rf "$tmp/mood" "$tmp/medium"/* "$a/seeds"
check "a seed with it" site "$a" seed mail --for shreveport --to "$tmp/medium" \
    --new
check "is received, and receive says what it is" \
    says "the output of a command" site "$b" receive "$tmp/medium" \
    --root vmail="$tmp/replica/vmail" --root users="$tmp/replica/users" ||
    mkdir -p "$tmp/replica"
check "the users have come" is_dump_of "$tmp/replica/users/output" "ann ben "

# --- the line, and a switchover --------------------------------------------

both() {
	[ "$(status_of "$a" digest)" = "$(status_of "$b" digest)" ]
}
daemon_start "$b"
sqlite3 "$db" 'insert into users values("cleo", "/home/cleo")'
check "a sync brings what is new" site "$a" sync mail
check "byte for byte" cmp "$spool/output" "$tmp/replica/users/output"
check "and both sites hold the same" both
mood 'echo locked >&2; exit 3'
check_status 4 "a sync with a failing command says so" says "locked" \
    site "$a" sync mail
check_status 4 "a switchover with a failing command is refused" \
    says "older output" site "$a" cutover mail
[ "$(status_of "$a" role)" = active ] || fail "the store stays where it was"
rm "$tmp/mood"
# What the fence changes is what crosses.
cat >"$tmp/fence" <<END
#!/bin/sh
exec sqlite3 "$db" 'insert into users values("dan", "/home/dan")'
END
chmod 755 "$tmp/fence"
printf '[hooks "mail"]\nfence = %s\n' "$tmp/fence" >>"$a/causeway.conf"
check "a switchover" site "$a" cutover mail
await "the other site is active" sh -c '
	[ "$("$CAUSEWAY" --home "$1" status mail --json |
	    jq -r ".stores[0].role")" = active ]' sh "$b"
check "has the users of the last moment" \
    is_dump_of "$tmp/replica/users/output" "ann ben cleo dan "
check "the promoted site says that no command makes them here" \
    says "no command makes it" site "$b" status mail
check "a scan there leaves them, and says so" says "no command makes it" \
    site "$b" scan mail
check "they are as they came" \
    is_dump_of "$tmp/replica/users/output" "ann ben cleo dan "

# The operator restores the database there, and gives the root its command.
sqlite3 "$tmp/b.db" <"$tmp/replica/users/output"
sqlite3 "$tmp/b.db" 'insert into users values("eve", "/home/eve")'
sed -i "/^\[store \"mail\"\]/a command = users=sqlite3 $tmp/b.db .dump" \
    "$b/causeway.conf"
check "a command for the root it has" site "$b" scan mail
check "prints into the directory it has" \
    is_dump_of "$tmp/replica/users/output" "ann ben cleo dan eve "
check "and nothing is said any more" sh -c '
	! "$CAUSEWAY" --home "$1" status mail | grep "root users"' sh "$b"
check "the old site follows, into its own directory" site "$a" sync mail
check "with the users of the new one" \
    is_dump_of "$spool/output" "ann ben cleo dan eve "
check "and home again" site "$a" cutover mail --to metairie
check "where its command prints again" site "$a" scan mail
check "its own users" is_dump_of "$spool/output" "ann ben cleo dan "

# --- beginning from nothing ------------------------------------------------

mkdir "$tmp/c-users"
check "a replica may have its command before it needs it" site "$b" \
    store add odd --follow metairie --command "words=/bin/false"
check "and fetches what the other's printed" site "$a" sync odd
check "into its own directory" \
    cmp "$tmp/words" "$b/commands/odd/words/output"
daemon_stop "$b"
finish
