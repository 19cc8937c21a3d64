#!/bin/sh
# A disk that fails, is pulled out or is lost costs what was on it alone: it is
# attached again, or made again, and the others stay what they are.
. "$(dirname "$0")/lib.sh"
own_mounts "$@"
. "$here/sites.sh"
. "$here/disks.sh"
need jq python3 split
need_disks
need_stopat

a=$tmp/a b=$tmp/b store=$tmp/vmail
mkdir -p "$store/files"
head -c 40000000 /dev/urandom | split -b 300000 -a 4 - "$store/files/f"
site_init "$a" metairie >/dev/null && site_init "$b" shreveport >/dev/null &&
    site_pair "$a" "$b" >/dev/null || fail "two sites trust each other"
check "the store is declared" site "$a" store add mail "$store"
disk one 64M || skip "a disk could not be made"
disk two 64M && disk three 96M && disk four 96M || skip "disks failed"

# blank NAME...: a disk for another seed
blank() {
	for name; do
		rm -rf "$tmp/$name/causeway"
	done
}
# same: what was received is what the store holds
same() {
	diff -r "$store" "$tmp/replica" && rm -rf "$tmp/replica" "$b/stores/mail"
}
seed_id() {
	jq -r .seed_id "$tmp/json"
}

# ---- a finished seed

site "$a" --json seed mail --for shreveport --to "$tmp/one" --to "$tmp/two" \
    --volume-size 1M >"$tmp/json"
check "a seed is written to two disks" [ $? -eq 0 ]
id=$(seed_id)
rm "$store/files/faaaa"
echo late >"$store/files/late"
check_status 2 "there is no medium 3 to make again" \
    site "$a" seed remake "$id" --medium 3 --to "$tmp/three"
check_status 7 "a medium that is there is not made again" \
    site "$a" seed remake "$id" --medium 2 --to "$tmp/two"
check "the second is lost, and made again alone" \
    site "$a" seed remake "$id" --medium 2 --to "$tmp/three"
first=$tmp/one/causeway/$id again=$tmp/three/causeway/$id
check "the new one is medium 2" grep -q "^medium 2 2$" "$again/MEDIUM"
check "the other one keeps its manifest" grep -qx "revision 1" \
    "$first/MANIFEST"
check "the new one has a later one" sh -c \
    'grep -qx "revision 2" "$1" && grep -qx "state final" "$1"' sh \
    "$again/MANIFEST"
check "both are the seed now" site "$b" verify "$tmp/one" "$tmp/three"
check "the lost one, found, changes nothing" \
    site "$b" verify "$tmp/one" "$tmp/two" "$tmp/three"
check "they are received in any order" site "$b" receive "$tmp/one" \
    "$tmp/three" --store mail --root "$tmp/replica"
check "and hold the store as it is now" same
check "made once more, with the other one here" \
    site "$a" seed remake "$id" --medium 2 --to "$tmp/four" --to "$tmp/one"
check "that one gets the new catalog and manifest" sh -c \
    'cmp "$1"/one/causeway/*/MANIFEST "$1"/four/causeway/*/MANIFEST &&
    cmp "$1"/one/causeway/*/catalog* "$1"/four/causeway/*/catalog*' sh "$tmp"
check "they verify" site "$b" verify "$tmp/four" "$tmp/one"
check "stock software agrees" sh -c \
    'cd "$1" && xxh128sum -c CHECKSUMS >/dev/null' sh "$first"
check "the manifest travels by itself" \
    site "$a" seed manifest "$id" --to "$tmp/final"
check "and is signed" minisign -Vm "$tmp/final" -p "$a/keys/minisign.pub"

# ---- pulled out in the middle

blank one two three four
# interrupted ARGUMENT...: pulls disk two when its sixth volume gets its name,
# as the seventh file there
interrupted() {
	"$tmp/stopat" --path "$tmp/two/" --calls renameat,renameat2 \
	    --run 7 "python3 '$here/pull.py' '$tmp/two'" \
	    "$CAUSEWAY" --home "$a" "$@" >"$tmp/seed.out" 2>&1
	status=$?
	cat "$tmp/seed.out"
	return $status
}
rm -rf "$a"/seeds
check_status 1 "a disk is pulled out: the seed does not end" interrupted \
    seed mail --for shreveport --to "$tmp/three" --to "$tmp/two" \
    --volume-size 1M --new
check "and says what can be done" grep -q \
    "attach medium 2 again and run the same command, or make it again with" \
    "$tmp/seed.out"
check "the other one is complete" sh -c \
    'ls "$1"/three/causeway/*/MANIFEST.minisig' sh "$tmp"
check "and verifies" site "$b" verify "$tmp/three"
disk_off two
disk_on two
check "attached again, the same command goes on" site "$a" seed mail \
    --for shreveport --to "$tmp/three" --to "$tmp/two"
check "they verify" site "$b" verify "$tmp/three" "$tmp/two"
check "and are received" site "$b" receive "$tmp/two" "$tmp/three" \
    --store mail --root "$tmp/replica"
check "all is there" same

blank two three
rm -rf "$a"/seeds
check_status 1 "it is pulled out once more" interrupted \
    --json seed mail --for shreveport --to "$tmp/three" \
    --to "$tmp/two" --volume-size 1M --new
disk_off two
id=$(ls "$a/seeds")
check "never to be seen again: it is made again" \
    site "$a" seed remake "$id" --medium 2 --to "$tmp/four"
check "they verify" site "$b" verify "$tmp/three" "$tmp/four"
check "and are received" site "$b" receive "$tmp/three" "$tmp/four" \
    --store mail --root "$tmp/replica"
check "all is there" same

# ---- where it is not the way

disk_on two
blank one two three
site "$a" --json seed mail --for shreveport --to "$tmp/one" --to "$tmp/two" \
    --to "$tmp/three" --survive-media 1 --volume-size 1M --new >"$tmp/json"
check "a seed survives the loss of a disk" [ $? -eq 0 ]
blank four
check_status 7 "what can be rebuilt is not packed again" \
    site "$a" seed remake "$(seed_id)" --medium 2 --to "$tmp/four"
check_status 7 "nor is a seed whose place another one has taken" \
    site "$a" seed remake "$id" --medium 2 --to "$tmp/four"
finish
