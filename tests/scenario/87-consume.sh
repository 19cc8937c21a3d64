#!/bin/sh
# A server that was shipped with the seed on its disk becomes the site: seed
# and tree do not fit on the disk together.  A plain receive says so before it
# begins; with --consume the volumes go as they are imported, and wherever it
# is killed, running it again completes it.
. "$(dirname "$0")/lib.sh"
. "$here/sites.sh"
need python3 jq cc split
cc -O2 -o "$tmp/stopat" "$root/tests/tools/stopat.c" 2>"$tmp/cc" ||
    skip "tests/tools/stopat.c does not build"
"$tmp/stopat" true
[ $? -eq 77 ] && skip "the kernel has no seccomp notifications"

work=$tmp/work disk=$tmp/disk
mkdir "$work" "$disk"
mount -t tmpfs -o size=256m,mode=700 causeway-test "$work" 2>/dev/null &&
    at_exit "umount -l '$work'"
mount -t tmpfs -o size=7m,mode=700 causeway-test "$disk" 2>/dev/null ||
    skip "a disk that is full needs a tmpfs of its own (root)"
at_exit "umount -l '$disk'"
a=$work/a b=$work/b src=$work/mail saved=$work/medium
medium=$disk/medium dst=$disk/mail

for box in ada ben cleo; do
	mkdir -p "$src/$box/cur" "$src/$box/new" "$src/$box/tmp"
	head -c 1200000 /dev/urandom | split -b 20000 -a 3 - "$src/$box/cur/m"
done
head -c 400000 /dev/urandom >"$src/ada/cur/large"
touch -d 2026-01-02T03:04:05.678 "$src"/*/cur/*
python3 "$here/tree.py" list "$src" >"$work/list"
mkdir "$saved"
check "two sites are made" sh -c '
	. "$0"/sites.sh; site_init "$1" metairie && site_init "$2" shreveport &&
	site_pair "$1" "$2"' "$here" "$a" "$b"
check "the store is declared" site "$a" store add mail "$src"
check "it is seeded" site "$a" seed mail --for shreveport --to "$saved" \
    --volume-size 128k --parity 5+1
mv "$b" "$work/b.new"

# As if the server had just arrived.
fresh() {
	rm -rf "$b" "$medium" "$dst"
	cp -a "$work/b.new" "$b" && cp -a "$saved" "$medium" || fail "a copy"
	seed=$(echo "$medium"/causeway/????????????????)
}
receive() {
	"$@" "$CAUSEWAY" --home "$b" --json receive "$medium" --root "$dst" \
	    $receive_with >"$work/out" 2>"$work/err"
}
is_identical() {
	python3 "$here/tree.py" list "$dst" >"$work/got" &&
	    cmp "$work/got" "$work/list"
}
volumes() {
	find "$medium" -type f -name '0*' | wc -l
}
# All volumes and shards are gone, and nothing else.
is_consumed() {
	[ "$(volumes)" -eq 0 ] && for name in MEDIUM MANIFEST CUSTODY \
	    MANIFEST.minisig catalog.sqlite.zst.age CHECKSUMS; do
		[ -s "$seed/$name" ] || return 1
	done
}

fresh
receive_with=
check_status 7 "seed and tree do not fit: a plain receive says so" receive
check "in words" grep -q "is needed\|are needed" "$work/out"
check "nothing was placed" sh -c '! find "$0" -type f | grep .' "$dst"
receive_with=--consume
check_status 7 "--consume is not done without confirmation" receive
check "nothing was deleted" [ "$(volumes)" -gt 30 ]

fresh
receive_with="--consume --yes"
check "--consume makes room" receive "$tmp/stopat" --log "$work/log"
check "the tree is identical" is_identical
check "the seed is gone, but what tells of it" is_consumed
check "its files are counted" \
    jq -e '.consumed > 30 and .wanted == 0' "$work/out"
check "custody tells of it" sh -c '
	"$0" --home "$1" custody "$2" >"$3" && grep -q erased "$3" &&
	grep -q imported "$3"' "$CAUSEWAY" "$b" "$medium" "$work/custody"
check "again it is the same seed" receive
check "and nothing to be done" jq -e '.repeated and .consumed == 0' \
    "$work/out"

# Killed anywhere: spread evenly, and at deletions.
wrong=0 killed=0
points=$(awk 'END { for (i = 0; i < 8; i++)
	print int(NR / 9 * (i + 1)) }' "$work/log"
    grep " unlinkat .*$medium" "$work/log" |
    awk 'NR % 12 == 1 { print $1; print $1 + 1 }')
for n in $points; do
	fresh
	receive "$tmp/stopat" --kill "$n"
	status=$?
	[ $status -ne 137 ] || killed=$((killed + 1))
	left=$(volumes)
	receive_status=0
	receive || receive_status=$?
	if [ $receive_status -ne 0 ] || ! is_identical >/dev/null ||
	    ! is_consumed; then
		wrong=$((wrong + 1))
		echo "    killed at $n ($left left): then $receive_status"
		cat "$work/out" "$work/err" | cut -c 1-300
	fi
done
check "it was killed at many points ($killed)" [ $killed -ge 10 ]
check "and each was made good" [ $wrong -eq 0 ]

# A damaged volume needs the others of its group.
flip() {
	printf 'damage' | dd of="$seed/$1" bs=1 seek=70000 conv=notrunc \
	    status=none
}
fresh
flip 000003.tar.zst.age
rm "$seed/000012.tar.zst.age"
check "damage within parity is rebuilt on the way" receive
check "as it says" jq -e '.rebuilt == 2 and
	([.damaged[] | select(.rebuilt) | .file] | sort) ==
	["000003.tar.zst.age", "000012.tar.zst.age"]' "$work/out"
check "the tree is identical" is_identical
check "and the seed is gone" is_consumed

# Beyond parity, the group stays: somebody may have another copy.
fresh
group=$(grep '^group 2 ' "$seed/MANIFEST" | cut -d ' ' -f 3-)
set -- $group
one=$(printf '%06d.tar.zst.age' "$1") two=$(printf '%06d.tar.zst.age' "$2")
rm "$seed/$one"
flip "$two"
cp -a "$saved"/causeway/*/"$one" "$work/"
check_status 4 "damage beyond parity is told" receive
check "the rest is imported" jq -e '.wanted > 0 and .wanted < 20 and
	.rebuilt == 0' "$work/out"
check "what might be rebuilt with another copy is kept" \
    [ "$(find "$seed" -type f -name '000002.*.rs' | wc -l)" -eq 1 -a \
    "$(volumes)" -eq $# ]
cp -a "$work/$one" "$seed/"
check "and is" receive
check "the tree is identical" is_identical
check "and the seed is gone" is_consumed

# One group that is larger than the room: what is done of it goes as soon as
# the rest was read and found good; never while something in it is wrong.
rm -rf "$saved"
mkdir "$saved"
check "a seed of one group" site "$a" seed mail --for shreveport \
    --to "$saved" --volume-size 128k --parity 60+1 --new
fresh
check "there is one" [ "$(grep -c '^group ' "$seed/MANIFEST")" -eq 1 ]
check "it is consumed volume by volume" receive
check "the tree is identical" is_identical
check "and the seed is gone" is_consumed
fresh
flip 000021.tar.zst.age
before=$(volumes)
receive
check "a group with damage is not" [ "$(volumes)" -eq "$before" ]
check "the disk is full, and it says so" \
    jq -e '.error.message | contains("No space left")' "$work/out"
finish
