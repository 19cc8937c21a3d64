#!/bin/sh
# Bytes on the wire: what small changes cost, counted at the socket, both ways,
# TLS and all; each against its bound.
#
#   --full    a day's life of 50,000 messages instead of 5,000
. "$(dirname "$0")/lib.sh"
. "$here/sites.sh"
. "$here/linked.sh"
need python3 jq mtree rsync zstd cc

a=$tmp/a b=$tmp/b
messages=5000
[ "${1:-}" != --full ] || messages=50000
src=$tmp/from/store dst=$tmp/to/store
mkdir "$tmp/from" "$tmp/to" "$dst"
cc -O2 -o "$tmp/mkstore" "$root/tests/tools/mkstore.c" || finish
"$tmp/mkstore" --messages "$messages" --profile small "$src" >"$tmp/made"
chmod --reference="$src" "$dst"

changes() {
	changes_kind=$1
	shift
	python3 "$here/changes.py" "$changes_kind" "$src" "$@"
}

# sync_bytes CLAIM: syncs, and sets $bytes to what crossed
sync_bytes() {
	sync_before=$(relay_bytes)
	check "$1" site "$a" sync mail --json || return 1
	cp "$tmp/check.out" "$tmp/sync.json"
	bytes=$(($(relay_bytes) - sync_before))
}

# at_most CLAIM BYTES BOUND
at_most() {
	echo "    $1: $2 bytes, at most $3"
	check "$1" [ "$2" -le "$3" ]
}

# zstd_sizes FILE...: the sum of what zstd -3 makes of each
zstd_sizes() {
	rm -rf "$tmp/packed"
	mkdir "$tmp/packed"
	zstd -q -3 --output-dir-flat "$tmp/packed" "$@" &&
	    find "$tmp/packed" -type f -printf '%s\n' |
	    awk '{ sum += $1 } END { print sum }'
}

check "the first site is made" site_init "$a" metairie
check "the second site is made" site_init "$b" shreveport
check "they are linked" site_link "$a" "$b"
check "the store is declared" site "$a" store add mail "$src"
check "the second site follows it" \
    site "$b" store add mail store="$dst" --follow metairie
daemon_start "$b" || finish
sync_bytes "it follows from nothing" || finish
raw=$(find "$src" -type f -printf '%s\n' | awk '{ s += $1 } END { print s }')
echo "    first sync: $bytes bytes for $raw of files"

sync_bytes "a sync with nothing to do"
sync_bytes "and again"
idle=$bytes
at_most "it takes no more than 8 KiB" "$bytes" 8192

changes flags 1 1000
sync_bytes "1,000 flag changes are brought"
at_most "each takes no more than 100 bytes" \
    $(((bytes - idle) / 1000)) 100

mkdir "$src/big.user" "$src/big.user/cur" "$src/big.user/new" \
    "$src/big.user/tmp" "$src/big.user/.Archive" "$src/big.user/.Archive/cur"
head -c 50000000 /dev/urandom \
    >"$src/big.user/cur/1748740000.M1P1.mail1,S=50000000:2,S"
sync_bytes "a message of 50 MB is brought"
mv "$src/big.user/cur/1748740000.M1P1.mail1,S=50000000:2,S" \
    "$src/big.user/.Archive/cur/1748750000.M2P2.mail1,S=50000000:2,S"
sync_bytes "it is moved to another folder"
at_most "which takes no more than 300 bytes" $((bytes - idle)) 300
rm -r "$src/big.user"
sync_bytes "it is gone again"

mkdir "$tmp/new"
changes deliver 2 200 "$tmp/new"
sync_bytes "200 new messages are brought"
packed=$(zstd_sizes "$tmp/new"/*)
at_most "with no more than their size by zstd -3 and 200 bytes each" \
    $((bytes - idle)) $((packed + 200 * 200))

# A day's life, against rsync over the very same change.
rsync -a "$src/" "$tmp/rsync-copy/"
rm -rf "$tmp/new" && mkdir "$tmp/new"
count=$(changes day 3 "$tmp/new")
sync_bytes "a day's life is brought"
packed=$(zstd_sizes "$tmp/new"/*)
at_most "with no more than the new contents by zstd -3 and 100 bytes a change" \
    $((bytes - idle)) $((packed + 100 * count))
python3 "$here/relay.py" port >"$tmp/rsync.port"
cat >"$tmp/rsyncd.conf" <<END
use chroot = no
[copy]
path = $tmp/rsync-copy
read only = no
uid = $(id -u)
gid = $(id -g)
END
rsync --daemon --no-detach --address 127.0.0.1 \
    --port "$(cat "$tmp/rsync.port")" --config "$tmp/rsyncd.conf" &
linked_pids="$linked_pids $!"
relay target "$(cat "$tmp/rsync.port")" >"$tmp/target"
await "an rsync daemon answers" rsync "rsync://127.0.0.1:$relay_port/"
before=$(relay_bytes)
rsync -az --delete "$src/" "rsync://127.0.0.1:$relay_port/copy/"
rsynced=$(($(relay_bytes) - before))
relay target "$(cat "$b.listen")" >"$tmp/target"
echo "    a day's life, $count changes: causeway $((bytes - idle)) bytes," \
    "rsync -az --delete $rsynced"
check "rsync takes more" [ "$bytes" -le "$rsynced" ]
check "all is the same at both sites" same "$a" "$src" "$b" "$dst"

# A link that stays, with nothing to say.
daemon_start "$a" || finish
linked() {
	site "$a" status --json |
	    jq -e '.daemon.links[0].state == "connected"'
}
await "a link stays" linked
# When both have told each other what there was to tell.
is_quiet() {
	quiet_before=$(relay_bytes)
	sleep 3
	[ "$(relay_bytes)" -eq "$quiet_before" ]
}
await "it has nothing more to say" is_quiet
before=$(relay_bytes)
sleep 20
at_most "an idle link takes no more than 50 bytes a second" \
    $((($(relay_bytes) - before) / 20)) 50
finish
