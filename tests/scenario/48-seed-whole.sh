#!/bin/sh
# A seed holds the whole store or says that it does not: whatever fails while
# its last volume is closed, whatever the times of files, whatever is written to
# files in parts, what can't be read, and where a disk that is gone looks like an
# emptied store.
. "$(dirname "$0")/lib.sh"
own_mounts "$@"
. "$here/sites.sh"
need cc jq python3 sqlite3
cc -O2 -o "$tmp/stopat" "$root/tests/tools/stopat.c" 2>"$tmp/cc" ||
    skip "tests/tools/stopat.c does not build"
work=$tmp/work
mkdir "$work" "$work/mail"
site_init "$work/a" metairie >/dev/null &&
    site_init "$work/b" shreveport >/dev/null &&
    site_pair "$work/a" "$work/b" >/dev/null ||
    fail "the sites are made"

# seed DIR... [-- OPTION...]: onto new media, from the beginning
seed() {
	rm -rf "$work"/m[0-9]*
	to=
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		mkdir "$work/$1"
		to="$to --to $work/$1"
		shift
	done
	[ $# -eq 0 ] || shift
	# shellcheck disable=SC2086 # directories without spaces
	$stopped "$CAUSEWAY" --home "$work/a" --json seed mail --new \
	    --for shreveport $to "$@" >"$work/out" 2>"$work/err"
}
stopped=
unpacked() {
	sqlite3 "$work/a/stores/mail/catalog.sqlite" \
	    "SELECT count(*) FROM entry WHERE volume IS NULL"
}
is_whole() {
	[ "$(unpacked)" -eq 0 ] || return 1
	rm -rf "$work/b1" "$work/replica"
	cp -a "$work/b" "$work/b1"
	site "$work/b1" receive "$@" --root "$work/replica" &&
	    diff -r "$work/mail" "$work/replica"
}
says() {
	cat "$work/out"
	grep -qF -e "$1" "$work/out"
}

# The buffers of a volume are 2 MiB: some of its last writes fail only when it
# is closed.
for n in $(seq 1 33); do
	head -c 600000 /dev/urandom >"$work/mail/$n"
done
check "the store is declared" \
    site "$work/a" store add mail "$work/mail" --format plain
for n in 5 6; do
	stopped="$tmp/stopat --path $work/m1 --calls pwrite64 --fail $n ENOSPC"
	check "a medium that is full at its ${n}th write costs the volume" \
	    seed m1 m2 -- --volume-size 8M --builders 1 --parity none
	check "and the seed is whole" is_whole "$work/m1" "$work/m2"
done
stopped=

# A medium that cannot be completed when it is full, and does not come again.
mkdir "$work/t1" "$work/t2"
if mount -t tmpfs -o size=12m causeway-test "$work/t1" 2>/dev/null &&
    mount -t tmpfs -o size=60m causeway-test "$work/t2" 2>/dev/null; then
	at_exit "umount '$work/t1' '$work/t2'"
	printf '%s\n' "$work/t1" "$work/t2" >"$work/answers"
	asked() {
		"$tmp/stopat" --path "$work/t1" --calls renameat --fail "$1" \
		    EIO "$CAUSEWAY" --home "$work/a" --json seed mail --new \
		    --for shreveport --to ask --volume-size 1M \
		    <"$work/answers" >"$work/out" 2>"$work/err"
	}
	check_status 1 "a medium that was not completed is missed" asked 10
	check "it was asked for the next one" [ "$(grep -c '"ask"' \
	    "$work/err")" -eq 2 ]
	check "and it is said what went wrong" says \
	    "cannot give it its name: Input/output error"
	check "all that is said of it is its number" says "attach medium 1 again"
else
	echo "skip: only root can mount small filesystems"
fi

# Beyond what 64 bits of nanoseconds hold.
rm -f "$work/mail"/*
echo a >"$work/mail/future"
echo b >"$work/mail/past"
echo c >"$work/mail/before"
touch -d 2400-01-01 "$work/mail/future"
touch -d 1600-01-01 "$work/mail/past"
touch -d '1969-12-31 23:59:59.5' "$work/mail/before"
for n in $(seq 1 40); do
	echo "$n" >"$work/mail/$n"
done
check "odd times are packed" seed m1
check "and arrive" is_whole "$work/m1"

# Files that need several volumes and never hold still.
rm -f "$work/mail"/*
for file in grows turns shrinks; do
	head -c 1000000 /dev/urandom >"$work/mail/$file"
done
cat >"$work/busy.py" <<'end'
import os, random, sys, time
while os.path.exists(sys.argv[1]):
    with open("grows", "ab") as f:
        f.write(os.urandom(3000 if f.tell() < 2000000 else 0))
    with open("turns", "r+b") as f:
        f.seek(random.randrange(900000))
        f.write(os.urandom(50))
    os.truncate("shrinks", random.randrange(500000, 1000000))
    time.sleep(0.001)
end
: >"$work/store-is-busy"
(cd "$work/mail" && exec python3 "$work/busy.py" "$work/store-is-busy") &
at_exit "rm -f '$work/store-is-busy'"
check "cut files that are written to are packed" seed m1 -- --volume-size 128k
rm "$work/store-is-busy"
wait
rm -rf "$work/b1" "$work/replica"
cp -a "$work/b" "$work/b1"
check "and they arrive" \
    site "$work/b1" receive "$work/m1" --root "$work/replica"

# Into itself.
mkdir "$work/mail/disk"
ln -s "$work/mail/disk" "$work/link"
check_status 7 "a seed is not written into its store" \
    site "$work/a" seed mail --for shreveport --to "$work/link"
check "and leaves nothing there" rmdir "$work/mail/disk"

# A directory that can't be listed, a file that can't be read.
mkdir "$work/mail/lost" "$work/mail/good"
echo x >"$work/mail/lost/file"
echo y >"$work/mail/good/file"
fails="--calls getdents64,pread64 --fail 1 EIO --on"
stopped="$tmp/stopat --path $work/mail/lost $fails"
check_status 4 "a directory that fails costs itself only" seed m1
check "and is named" says "cannot list mail/lost"
check "and counted" [ "$(jq .unreadable_directories "$work/out")" -eq 1 ]
stopped=
check "once it can be read all is well" seed m1
check "and is there" is_whole "$work/m1"
stopped="$tmp/stopat --path $work/mail/lost $fails"
check_status 4 "when it fails later what is known of it stays" seed m1
check "and its files are missed" says "1 directory and 1 known file"
stopped=
rm -rf "$work/b1" "$work/replica"
cp -a "$work/b" "$work/b1"
check_status 4 "the recovery site is told" \
    site "$work/b1" receive "$work/m1" --root "$work/replica"
check "and has the rest" cmp "$work/mail/good/file" "$work/replica/good/file"

# What was there is gone.
mkdir "$work/aside"
mv "$work/mail"/* "$work/aside"
cp -a "$work/a/stores" "$work/stores"
check_status 7 "a store that lost all is not packed" seed m1
check "and it is said why" says "is its disk mounted?"
check "and what to do" says "scan STORE --accept-empty"
check_status 7 "nor the next time" seed m1
mv "$work/aside"/* "$work/mail"
check "once it is there again it is" seed m1
check "whole" is_whole "$work/m1"
mv "$work/mail"/* "$work/aside"
check "or it is confirmed" site "$work/a" scan mail --accept-empty
check "then it is packed" seed m1
check "with a warning" grep -q 'is its disk mounted' "$work/err"
mv "$work/aside"/* "$work/mail"
finish
