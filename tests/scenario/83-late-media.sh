#!/bin/sh
# Media that were closed before the seed ended, come one after another, or were
# made again from a store that had lived on: the replica is the store as the
# last manifest has it, with nothing left of what the first one said.
. "$(dirname "$0")/lib.sh"
. "$here/sites.sh"
need python3 jq cc split
cc -O2 -o "$tmp/stopat" "$root/tests/tools/stopat.c" 2>"$tmp/cc" ||
    skip "tests/tools/stopat.c does not build"
"$tmp/stopat" true
[ $? -eq 77 ] && skip "the kernel has no seccomp notifications"

work=$tmp/work
mkdir "$work"
mount -t tmpfs -o size=256m,mode=700 causeway-test "$work" 2>/dev/null &&
    at_exit "umount -l '$work'"
a=$work/a b=$work/b src=$work/mail dst=$work/replica
for box in ada ada/.Old ben; do
	mkdir -p "$src/$box/cur" "$src/$box/new" "$src/$box/tmp"
	head -c 800000 /dev/urandom | split -b 7000 -a 2 - "$src/$box/cur/m"
done
head -c 400000 /dev/urandom >"$src/ada/cur/large"
head -c 300000 /dev/urandom >"$src/ada/cur/large-too"
ln "$src/ada/cur/maa" "$src/ben/cur/linked"
ln -s cur "$src/ben/here"
check "two sites are made" sh -c '
	. "$0"/sites.sh; site_init "$1" metairie && site_init "$2" shreveport &&
	site_pair "$1" "$2"' "$here" "$a" "$b"
check "the store is declared" site "$a" store add mail "$src"
mv "$b" "$work/b.new"

is_identical() {
	python3 "$here/tree.py" list "$src" >"$work/list" &&
	    python3 "$here/tree.py" list "$dst" | cmp - "$work/list"
}
same_digest() {
	[ "$(site "$a" status --json | jq .stores[0].digest)" = \
	    "$(site "$b" status --json | jq .stores[0].digest)" ]
}
fresh() {
	rm -rf "$b" "$dst"
	cp -a "$work/b.new" "$b"
}
# receive MEDIUM...
receive() {
	receive_from=
	for i; do
		receive_from="$receive_from $work/$i"
	done
	$receive_by "$CAUSEWAY" --home "$b" --json receive $receive_from \
	    --root "$dst" >"$work/out" 2>"$work/err"
}
receive_by=

# ---- closed early

disks=yes
for i in 1 2; do
	mkdir "$work/early$i"
	mount -t tmpfs -o size=$((i * 4 - 1))m,mode=700 causeway-test \
	    "$work/early$i" 2>/dev/null || disks=
	at_exit "umount -l '$work/early$i' 2>/dev/null"
done
[ -n "$disks" ] || skip "media that are full need a tmpfs of their own (root)"
printf '%s\n' "$work/early1" "$work/early2" |
    site "$a" --json seed mail --for shreveport --to ask \
	--volume-size 128k >"$work/seed.json" 2>"$work/asked"
check "a seed goes on from a full medium to the next" \
    jq -e '.media | length == 2' "$work/seed.json"
fresh
check_status 4 "a medium that was closed early has no catalog" \
    receive early1
check "the last medium is asked for" jq -e \
    '.error.message | contains("bring the last medium of the set")' \
    "$work/out"
check_status 4 "without the catalog its volumes are imported" \
    site "$b" receive "$work/early1" --without-catalog \
    --store other --root "$dst"
check "some files are there" \
    [ "$(find "$dst" -type f -size 7000c | wc -l)" -gt 20 ]
fresh
check_status 4 "the last medium comes first" receive early2
check "the other is asked for" \
    jq -e '.missing_media == [1]' "$work/out"
check "it comes, with the manifest it was closed with" receive early1
check "the tree is identical" is_identical
fresh
site "$a" seed manifest "$(jq -r .seed_id "$work/seed.json")" \
    --to "$work/final" >"$work/check"
check "the final manifest may come by itself" \
    [ -s "$work/final" -a -s "$work/final.minisig" ]
check_status 4 "but the catalog does not" site "$b" receive \
    "$work/early1" --manifest "$work/final" --root "$dst"
cp "$tmp/check.out" "$work/said"
check "it says which medium has it" grep -q "bring medium 2" "$work/said"
umount -l "$work/early1"
umount -l "$work/early2"

# ---- made again

mkdir "$work/m1" "$work/m2" "$work/m3" "$work/new2"
for i in 1 2 3; do
	mount -t tmpfs -o size=4m,mode=700 causeway-test "$work/m$i"
	at_exit "umount -l '$work/m$i'"
done
check "a seed on three media" site "$a" seed mail --for shreveport \
    --to "$work/m1" --to "$work/m2" --to "$work/m3" --volume-size 64k \
    --parity 3+1 --new
seed=$(cd "$work/m1/causeway" && echo ????????????????)
fresh
check_status 4 "the first medium is received" receive m1
wanted=$(jq .wanted "$work/out")
cp -a "$b" "$work/b.part" && cp -a "$dst" "$work/part"

# The store lives on: renamed, gone, moved, changed in place, of another kind.
mv "$src/ada/cur/mab" "$src/ada/cur/mab:2,S"
rm "$src/ada/cur/mac" "$src/ben/here"
rm -r "$src/ada/.Old"
echo "no folder any more" >"$src/ada/.Old"
ln -s new "$src/ben/here"
mkdir -p "$src/ben/.New/cur" "$src/ben/.New/new" "$src/ben/.New/tmp"
mv "$src/ben/cur/ma"[a-k] "$src/ben/.New/cur"
head -c 30000 /dev/urandom >"$src/ben/cur/brought"
printf 'other' | dd of="$src/ada/cur/large" bs=1 seek=1000 conv=notrunc \
    status=none
chmod 600 "$src/ada/cur/mad"
touch -d 2020-01-01 "$src/ben/cur/mba"
rm "$src/ben/cur/linked" && cp -p "$src/ada/cur/maa" "$src/ben/cur/linked"
check "the second medium is made again" \
    site "$a" seed remake "$seed" --medium 2 --to "$work/new2"
check "with another catalog" sh -c '
	a=$(grep "^catalog " "$1"/m1/causeway/*/MANIFEST)
	b=$(grep "^catalog " "$1"/new2/causeway/*/MANIFEST)
	[ -n "$a" ] && [ "$a" != "$b" ]' sh "$work"

# part: as after the first medium
part() {
	rm -rf "$b" "$dst"
	cp -a "$work/b.part" "$b" && cp -a "$work/part" "$dst"
}
part
cp "$b/stores/mail/import.done" "$work/done"
receive_by="$tmp/stopat --log $work/log"
check_status 4 "it is received in the other's place" receive new2
receive_by=
check "less is wanted now" \
    jq -e ".wanted > 0 and .wanted < $wanted" "$work/out"
undone=$(grep -c -- " -$" "$b/stores/mail/import.done")
echo "    of $(wc -l <"$work/done") volumes that were done $undone come again"
check "what was done of the first medium stays done, but for a link's" \
    [ "$undone" -le 2 -a "$(wc -l <"$work/done")" -gt 8 ]
# A link whose file moved between volumes makes its volume come again: that is
# on the first medium.
if [ "$undone" -eq 0 ]; then
	check "the third one has the old manifest, and will do" receive m3
else
	check_status 4 "the third one has the old manifest" receive m3
	check "the first one brings what has to come again" receive m1
fi
check "the tree is the store as it is now" is_identical
check "and so is the state digest" same_digest
check "nothing is left of the catalog before" \
    [ ! -e "$b/stores/mail/catalog.sqlite.previous" ]
check "the medium that was replaced changes nothing" sh -c '
	"$0" --home "$1" receive "$2/m2" "$2/m3" --root "$3" | grep -q before' \
    "$CAUSEWAY" "$b" "$work" "$dst"

wrong=0 killed=0
for n in $(awk 'END { for (i = 0; i < 8; i++)
	print int(1 + (NR - 1) * i / 8) }' "$work/log") $(
    grep -n "catalog.sqlite.previous\| rename.*/catalog.sqlite$" "$work/log" |
    head -n 4 | cut -d ' ' -f 1 | cut -d : -f 2); do
	part
	receive_by="$tmp/stopat --kill $n"
	receive new2
	[ $? -ne 137 ] || killed=$((killed + 1))
	receive_by=
	receive new2 m3
	status=$?
	receive m1
	if ! is_identical >"$work/cmp" 2>&1 || ! same_digest; then
		wrong=$((wrong + 1))
		echo "    killed at $n: then $status"
		cut -c 1-300 "$work/out" "$work/err"
	fi
done
check "it was killed at many points ($killed)" [ $killed -ge 8 ]
check "and each was made good" [ $wrong -eq 0 ]

part
check "a manifest that is too old is not gone back to" sh -c '
	"$0" --home "$1" receive "$2/new2" --root "$3" >/dev/null 2>&1
	rm "$1"/stores/mail/import.manifest*
	"$0" --home "$1" receive "$2/m3" --root "$3" 2>&1 |
	    grep -q "bring a medium that has it"' \
    "$CAUSEWAY" "$b" "$work" "$dst"
finish
