#!/bin/sh
# Damage of all sorts to seeds with parity: bits flipped, sectors zeroed and
# swapped, bursts of garbage, files cut, grown and lost.  What is within parity
# is repaired to the same bytes, what is beyond is told, nothing goes unnoticed.
#
#   --full    1,000 rounds, with volumes of 4 MiB too
. "$(dirname "$0")/lib.sh"
. "$here/sites.sh"
need python3 split jq

full=
[ "${1:-}" != --full ] || full=1
a=$tmp/a b=$tmp/b
site_init "$a" metairie >/dev/null && site_init "$b" shreveport >/dev/null &&
    site_pair "$a" "$b" >/dev/null || fail "two sites trust each other"
key=$a/keys/minisign.pub
[ -f "$key" ] || key=$(find "$a" -name minisign.pub)

# make NAME BYTES OPTIONS...: a store of random bytes, so that volumes are as
# many as its size says, and a seed of it on $tmp/NAME
make() {
	make_name=$1 make_bytes=$2
	shift 2
	mkdir -p "$tmp/$make_name.store/files" "$tmp/$make_name"
	head -c "$make_bytes" /dev/urandom |
	    split -b 100000 -a 4 - "$tmp/$make_name.store/files/f"
	site "$a" store add "$make_name" "$tmp/$make_name.store" &&
	    site "$a" seed "$make_name" --for shreveport \
		--to "$tmp/$make_name" "$@"
}

# rounds N SEED NAME
rounds() {
	mkdir -p "$tmp/work"
	python3 "$here/damage.py" "$CAUSEWAY" "$key" "$tmp/$3" "$tmp/work" \
	    "$1" "$2" && cp "$tmp/check.out" "$tmp/figures"
}

# damage NAME N SEED CLAIM
damage() {
	check "$4" rounds "$2" "$3" "$1" && sed 's/^/    /' "$tmp/figures"
}

check "a seed with 10+1 is made" \
    make small 5000000 --volume-size 256k --parity 10+1
check "a seed with 10+2 is made" \
    make two 14000000 --volume-size 1M --parity 10+2
if [ -n "$full" ]; then
	check "a seed with 10+1 and big volumes is made" \
	    make big 60000000 --volume-size 4M --parity 10+1
	check "a seed with 10+2 and big volumes is made" \
	    make big2 60000000 --volume-size 4M --parity 10+2
	damage small 250 1 "10+1, 256 KiB: all damage is mended or told"
	damage two 250 2 "10+2, 1 MiB: all damage is mended or told"
	damage big 250 3 "10+1, 4 MiB: all damage is mended or told"
	damage big2 250 4 "10+2, 4 MiB: all damage is mended or told"
else
	damage small 20 5 "10+1, 256 KiB: all damage is mended or told"
	damage two 12 9 "10+2, 1 MiB: all damage is mended or told"
fi

# What people see.
seed=$(echo "$tmp"/two/causeway/????????????????)
rm "$seed/000002.01.rs"
printf damage | dd of="$seed/000005.tar.zst.age" bs=1 seek=70000 conv=notrunc \
    2>/dev/null
check_status 3 "a dry run says what could be repaired" \
    "$CAUSEWAY" repair "$tmp/two" --signer "$key" --dry-run
cp "$tmp/check.out" "$tmp/said"
check "it names the block" grep -q \
    "can be repaired: 000005.tar.zst.age of medium 1, 65.5 kB at offset 65536" \
    "$tmp/said"
check_status 3 "and changes nothing" \
    "$CAUSEWAY" verify "$tmp/two" --signer "$key" --no-custody
check_status 5 "without the signer's key nothing is written" \
    "$CAUSEWAY" repair "$tmp/two"
check "nor is the lost shard made" [ ! -e "$seed/000002.01.rs" ]
check "with it, it is repaired" site "$b" repair "$tmp/two"
check "and the log says so" sh -c '"$1" custody "$2" --json |
    jq -e ".events[-1].note == \"repaired, 2 ranges\"" >/dev/null' \
    sh "$CAUSEWAY" "$tmp/two"
check "verify agrees" site "$b" verify "$tmp/two"
check "again, there is nothing to do" site "$b" repair "$tmp/two"
cp "$tmp/check.out" "$tmp/said"
check "and it says that" grep -q "Nothing is bad" "$tmp/said"

# Beyond parity: three blocks of one volume, of which one can be mended.
cp -a "$seed" "$tmp/whole"
group=$(grep '^group ' "$seed/MANIFEST" | head -n 1)
names=$(echo "$group" | cut -d' ' -f3-5)
dent() {
	printf 'not this' | dd of="$seed/$(printf %06d "$1").tar.zst.age" \
	    bs=1 seek="$2" conv=notrunc 2>/dev/null
}
for n in $names; do
	dent "$n" 70000
	dent "$n" 200000
done
dent "${names%% *}" 300000
check_status 4 "more than parity makes up for is beyond repair" \
    site "$b" repair "$tmp/two"
cp "$tmp/check.out" "$tmp/said"
check "each file is told in one line, with the number of its blocks" [ "$(
    grep -c "not repaired: .*: 2 blocks of 64 KiB can't be rebuilt" \
	"$tmp/said")" -eq 3 ]
check "and in the end what to do" grep -q \
    "^causeway: 3 files are beyond repair.*causeway receive" "$tmp/said"
check_status 4 "it is received in part" site "$b" receive "$tmp/two" \
    --store two --root "$tmp/part"
cp "$tmp/check.out" "$tmp/said"
check "with one line a volume" [ "$(grep -c "^  " "$tmp/said")" -eq 5 ]
check "of which each says why" [ "$(grep -c "  wrong: medium 1: 0.*; .*can't \(be\|rebuild\)" \
    "$tmp/said")" -eq 3 ]
site "$b" status >"$tmp/said" 2>&1
check "status counts the volumes" grep -q "3 volumes have not arrived" \
    "$tmp/said"
rm -rf "$seed" && cp -a "$tmp/whole" "$seed"

# Directories where files should be, and a file where a directory should be.
file=$(basename "$(echo "$seed"/0*.tar.zst.age | cut -d' ' -f1)")
in_the_way() {
	check_status 4 "a dry run says what stands in the way ($1)" \
	    site "$b" repair "$tmp/two" --dry-run
	check_status 4 "repair does, too ($1)" site "$b" repair "$tmp/two"
	cp "$tmp/check.out" "$tmp/said"
	check "and says to move it away ($1)" grep -q "$1 is .*: move it away" \
	    "$tmp/said"
}
rm "$seed/$file" && mkdir "$seed/$file" && : >"$seed/$file/somebody's"
in_the_way "$file"
check "nothing of it is deleted" [ -e "$seed/$file/somebody's" ]
rm -r "${seed:?}/$file"
rm "$seed/copy/MANIFEST" && mkdir "$seed/copy/MANIFEST"
in_the_way copy/MANIFEST
rm -r "$seed/copy" && : >"$seed/copy"
in_the_way copy
rm "$seed/copy"
check "when it is away, all is repaired" site "$b" repair "$tmp/two"
check "and verify agrees" site "$b" verify "$tmp/two"

sed -i 's/^generation .*/generation 7/' "$seed/MANIFEST"
check_status 5 "a changed manifest is never repaired" \
    site "$b" repair "$tmp/two"
check "it is as it was changed" grep -qx "generation 7" "$seed/MANIFEST"
finish
