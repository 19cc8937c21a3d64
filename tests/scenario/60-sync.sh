#!/bin/sh
# Sync: batches of changes of every kind are brought to a replica that began
# from nothing and to one that began with a seed.  After each both sites, mtree
# and rsync say that the trees are the same; and what only moved, or was copied,
# or is kept in history, is not sent.
. "$(dirname "$0")/lib.sh"
. "$here/sites.sh"
. "$here/linked.sh"
need python3 jq mtree rsync sqlite3 setfacl setfattr
[ "$(id -u)" -eq 0 ] || skip "owners and modes can only be restored by root"

a=$tmp/a b=$tmp/b c=$tmp/c
at_b=$tmp/replica-b at_c=$tmp/replica-c medium=$tmp/medium
mkdir "$at_b" "$at_b/mail" "$at_b/conf" \
    "$at_c" "$at_c/mail" "$at_c/conf" "$medium"
. "$here/changing.sh"

# sync SITE CLAIM [BYTES]: is typed there, and is to take no more than so many
# bytes, as the site counts them
sync() {
	sync_at=$1 sync_claim=$2 sync_most=${3:-}
	if ! check "$sync_claim" site "$sync_at" sync mail --json; then
		cat "$a.log" "$b.log" 2>/dev/null | tail -n 5
		return 1
	fi
	bytes=$(jq '.bytes_sent + .bytes_received' "$tmp/check.out")
	[ -z "$sync_most" ] || [ "$bytes" -le "$sync_most" ] ||
	    fail "$sync_claim: $bytes bytes, at most $sync_most"
}

# batch CLAIM [BYTES]: what was changed is brought to b, typed at either side
# in turn, and compared
turn=b
batch() {
	if [ $turn = b ]; then
		turn=a
	else
		turn=b
	fi
	# The other side's daemon answers.
	if [ $turn = a ]; then
		[ ! -f "$a.pid" ] || daemon_stop "$a"
		rm -f "$a.pid"
		[ -f "$b.pid" ] || daemon_start "$b"
		sync "$a" "$@"
	else
		[ ! -f "$b.pid" ] || daemon_stop "$b"
		rm -f "$b.pid"
		[ -f "$a.pid" ] || daemon_start "$a"
		sync "$b" "$@"
	fi
	check "    and all is the same" same "$a" "$src" "$b" "$at_b"
}

check "the first site is made" site_init "$a" metairie
check "the second site is made" site_init "$b" shreveport
check "the third site is made" site_init "$c" natchez
check "two are linked" site_link "$a" "$b"
python3 "$here/relay.py" port >"$a.listen"
for other in b c; do
	check "the other way, too, $other" sh -c '
		"$1" --home "$3" pair "$(cat "$2.card")" \
		    --at "127.0.0.1:$(cat "$2.listen")" &&
		"$1" --home "$2" pair "$(cat "$3.card")"' \
	    sh "$CAUSEWAY" "$a" "$tmp/$other"
done
check "the store is declared" \
    site "$a" store add mail mail="$src/mail" conf="$src/conf"
sed -i '/^root = conf/a every = 1h' "$a/causeway.conf"
check "the second site follows it from nothing" site "$b" store add mail \
    mail="$at_b/mail" conf="$at_b/conf" --follow metairie
check "a seed is made for the third" \
    site "$a" seed mail --for natchez --to "$medium" --volume-size 4M
batch "everything is brought to a replica that began from nothing" || finish

# third CLAIM [BYTES]: the third site catches up, by its own command
third() {
	if [ ! -f "$a.pid" ]; then
		[ ! -f "$b.pid" ] || daemon_stop "$b"
		rm -f "$b.pid"
		daemon_start "$a"
	fi
	sync "$c" "$@"
	check "    and all is the same" same "$a" "$src" "$c" "$at_c"
}
check "the seed is received" site "$c" receive "$medium" --store mail \
    --root mail="$at_c/mail" --root conf="$at_c/conf"
third "it goes on where the seed was" 8192

changes flags 1 60
batch "flags" 20000
changes move 2 20
batch "messages move between folders" 20000
noise 1 300000 >"$m/cur/1125288600.M1P1.big,S=300000:2,S"
batch "a large message is delivered" 330000
cp -p "$m/cur/1125288600.M1P1.big,S=300000:2,S" \
    "$m/.Sent Messages/cur/1125288601.M1P1.copy,S=300000:2,"
cp "$m/cur/1125288600.M1P1.big,S=300000:2,S" "$n/new/1125288602.M1P1.for-n"
ln "$m/cur/1125288600.M1P1.big,S=300000:2,S" "$f/links/big one"
batch "copies by cp and ln are not sent" 8000
mv "$m/.Archive.Hurricane 2005" "$m/.Archive.Storm"
mv "$f/sizes" "$f/names/sizes moved"
batch "renamed folders are not sent" 60000
mv "$m/.Archive.Storm" "$m/.Archive.Hurricane 2005"
mv "$f/names/sizes moved" "$f/sizes"
batch "nor when they get their old names" 60000
rm -r "$n/.Sent Messages"
batch "a folder is deleted" 20000
mkdir -p "$n/.Sent Messages/cur" "$n/.Sent Messages/new" \
    "$n/.Sent Messages/tmp"
echo "after the storm" >"$n/.Sent Messages/cur/1125300000.M1P1.host:2,S"
batch "and made again" 8000
rm -r "$m/.Archive.Hurricane 2005"
mkdir -p "$m/.Archive.Hurricane 2005/cur"
echo "all new" >"$m/.Archive.Hurricane 2005/cur/1125300001.M1P1.host:2,S"
batch "deleted and made again between two generations" 20000
changes deliver 3 40
batch "new mail"
changes delete 4 40
batch "deleted mail" 20000

rm "$f/sizes/1" "$f/sizes/511"
mkdir "$f/sizes/1" && echo inside >"$f/sizes/1/file"
ln -s 512 "$f/sizes/511"
rm -r "$f/empty"
echo "was a directory" >"$f/empty"
rm "$f/links/dir" && mkdir "$f/links/dir" && echo x >"$f/links/dir/x"
batch "files become directories and symlinks, and the other way" 8000
rm -r "$f/sizes/1" "$f/links/dir"
ln -s file "$f/sizes/1"
rm "$f/sizes/511" "$f/empty"
noise 2 511 >"$f/sizes/511"
mkdir -p "$f/empty/emptier" "$f/links/dir"
batch "and again" 8000

chmod 600 "$f/sizes/1048577" "$f/modes/0444"
chmod 711 "$f/modes" "$f/modes/dir0555"
chown 4321:1234 "$f/sizes/big" "$f/links"
chown -h 4321:1234 "$f/links/dangling"
touch -d @1125288600.987654321 "$f/sizes/65536"
touch -h -d @1125288600 "$f/links/out"
batch "modes, owners and times alone" 8000
setfattr -n user.text -v other "$f/attributes/file"
setfattr -x user.bytes "$f/attributes/file"
setfattr -n user.new -v 0x00ff "$f/sizes/1048576"
setfacl -m u:4321:rw "$f/attributes/acl" "$f/sizes/1048575"
setfacl -b "$f/attributes/default acl"
setfacl -m d:u:4321:rx "$f/names"
batch "attributes and ACLs alone" 8000
truncate -s 20M "$f/sizes/sparse"
printf 'a second island' | dd of="$f/sizes/sparse" bs=1 seek=15000000 \
    conv=notrunc status=none
truncate -s 40M "$f/sizes/all hole"
batch "sparse files" 80000
check "they have holes at the replica, too" sh -c '
	[ "$(stat -c %b "$1/sparse")" -lt 2048 ] &&
	[ "$(stat -c %b "$1/all hole")" -lt 2048 ]' sh "$at_b/conf/sizes"
rm "$f/links/two"
ln "$f/sizes/big" "$f/links/two"
ln "$f/names/-rf" "$f/names/a link"
printf 'three names, and more of them' >"$f/links/one"
batch "hard links are made and parted" 8000
check "they are hard links at the replica, too" \
    [ "$at_b/conf/names/-rf" -ef "$at_b/conf/names/a link" ]
mkdir "$f/odd"
python3 - "$f/odd" <<'END'
import os, sys
top = os.fsencode(sys.argv[1])
for i, name in enumerate((b"new\nline", b"\xff\xfe\n", b"y" * 255, b"\xe2\x82",
                          b" ", b"\\", b"%00", b"\x01")):
    with open(os.path.join(top, name), "wb") as file:
        file.write(b"odd %d\n" % i)
os.mkdir(os.path.join(top, b"dir\n" + b"\xfd" * 251))
END
batch "odd names" 8000
: >"$f/odd/nothing"
: >"$m/cur/1125300009.M1P1.empty:2,S"
mkdir -p "$f/odd/no/thing/at/all" "$f/odd/one"
batch "empty files and directories" 8000

noise 3 30000000 >"$f/large"
batch "a file of 30 MB" 30500000
noise 4 50000 >>"$f/large"
batch "it is appended to" 80000
noise 5 70000 | dd of="$f/large" bs=70000 seek=200 conv=notrunc status=none
batch "changed in its middle" 1500000
noise 6 1000 >"$f/large.new"
cat "$f/large" >>"$f/large.new"
mv "$f/large.new" "$f/large"
batch "bytes are put before its first" 1500000

# Reading the last of these takes hours; the others need not wait for it.
python3 - "$f/early" <<'END'
import os, random, sys
os.mkdir(sys.argv[1])
bytes_of = random.Random(7).randbytes
for i in range(700):
    with open("%s/%d" % (sys.argv[1], i), "wb") as file:
        file.write(bytes_of(1000))
END
mkdir "$f/later"
truncate -s 8T "$f/later/all hole"
if [ -f "$a.pid" ]; then
	daemon_stop "$a"
	rm -f "$a.pid"
fi
[ -f "$b.pid" ] || daemon_start "$b"
"$CAUSEWAY" --home "$a" sync mail >/dev/null 2>&1 &
reading=$!
has_come() { [ "$(status_of "$b" behind_entries)" -ge 500 ]; }
await "what was read is sent while the rest is being read" has_come
check "and the rest is being read" kill "$reading"
wait "$reading"
rm -r "$f/later"
turn=b
batch "what had come is not sent again" 400000

# What was replaced and what was removed is kept.
rm "$n/.Sent Messages/cur/1125300000.M1P1.host:2,S"
batch "the last message of a folder goes" 8000
check "history has what was removed" sh -c '
	find "$1" -type f -exec grep -lx "after the storm" {} + | grep -q .' \
    sh "$b/stores/mail/history"
check "and what was replaced, byte for byte" sh -c '
	find "$1" -type f -size +28M -exec sha256sum {} + |
	    grep -q "$(python3 -c "import hashlib, random
print(hashlib.sha256(random.Random(3).randbytes(30000000)).hexdigest())")"' \
    sh "$b/stores/mail/history"
noise 3 30000000 >"$f/as before"
batch "what is in history is not sent" 8000
rm "$f/as before"
third "the replica of the seed gets all that happened since, at once" 31500000
third "then there is nothing to do" 8192
finish
