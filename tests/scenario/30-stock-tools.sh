#!/bin/sh
# The mail comes back without Causeway: a seed of a store with everything
# awkward in it is checked and restored by age, zstd, tar and the rest, with
# the very commands of the medium's README.txt.
. "$(dirname "$0")/lib.sh"
. "$here/sites.sh"
need python3 jq age zstd tar xxh128sum minisign mtree sqlite3 setfacl
[ "$(id -u)" -eq 0 ] || skip "owners and modes can only be restored by root"

a=$tmp/a b=$tmp/b medium=$tmp/medium
mail=$tmp/vmail conf=$tmp/etc
mkdir "$mail" "$conf" "$medium"
setfattr -n user.probe -v 1 "$conf" 2>/dev/null ||
    skip "the filesystem of $tmp has no user attributes"
setfattr -x user.probe "$conf"
tree() {
	python3 "$here/tree.py" "$@"
}
tree awkward "$conf" && tree maildirs "$mail" 800 || fail "trees are made"
tree list "$mail" >"$tmp/list-mail"
tree list "$conf" >"$tmp/list-conf"

check "the first site is made" site_init "$a" metairie
check "the second site is made" site_init "$b" shreveport
check "they trust each other" site_pair "$a" "$b"
check "a store of two roots is declared" \
    site "$a" store add service mail="$mail" conf="$conf"
age-keygen -o "$tmp/escrow.key" 2>/dev/null
check "it is seeded in volumes of 1 MiB, for an escrow key as well" \
    site "$a" seed service --for shreveport --to "$medium" \
    --volume-size 1M --recipient "$(age-keygen -y "$tmp/escrow.key")" ||
    finish

seed=$(echo "$medium"/causeway/????????????????)
check "there is one seed on the medium" [ -d "$seed" ]
readme=$medium/causeway/README.txt
cd "$seed" || finish

# The indented commands of README.txt, from the line with one word to the line
# with another; DIR, age.key and N stand for what the reader has.
number=$(sed -n 's/^medium \([0-9]*\).*/\1/p' MEDIUM)
readme_commands() {
	awk -v from="$1" -v to="$2" '
		/^       / && index($0, from) { on = 1 }
		on { print substr($0, 8); found = 1 }
		on && index($0, to) { exit }
		END { if (!found) print "echo README.txt lacks it; false" }
	' "$readme" | sed "s|DIR|$3|g; s|age\\.key|$4|g; s|file N |file $number |"
}

check "README.txt: xxh128sum -c CHECKSUMS" \
    sh -ec "$(readme_commands 'xxh128sum' 'xxh128sum' - -)"
check "README.txt: minisign -V" \
    sh -ec "$(readme_commands 'minisign' 'minisign' - -)"
check "it names the key that the site's home has" \
    grep -qF "$(sed -n 2p "$a/keys/minisign.pub")" "$readme"
check "and the signature is by that key" \
    minisign -V -q -m MANIFEST -p "$a/keys/minisign.pub"
readme_commands 'sed -n' 'sha256sum' - - >"$tmp/sums"
check "README.txt: sha256sum by MANIFEST" sh -ec "$(cat "$tmp/sums")"
sh -c "$(cat "$tmp/sums")" >"$tmp/sums.out" 2>&1
check "every volume and the catalog are summed" sh -c '
	for file in [0-9]*.tar.zst.age catalog.sqlite.zst.age CHECKSUMS; do
		grep -qx "$file: OK" "$1" || exit 1
	done' sh "$tmp/sums.out"
check "CHECKSUMS lists every file but those it can not" sh -c '
	find . -type f ! -name MANIFEST\* ! -name CUSTODY ! -name CHECKSUMS |
	    sed "s|^\./||" | sort >"$1/files"
	cut -c 35- CHECKSUMS | sort >"$1/listed"
	diff "$1/files" "$1/listed"' sh "$tmp"
check "the copies are equal" sh -ec '
	for file in copy/*; do cmp "$file" "${file#copy/}"; done'
check "no file is larger than a volume, no name longer than 64" sh -c '
	! find . -type f -size +1048576c | grep . &&
	! find . | grep -E "[^/]{65}"'

# restore KEY DIR: as README.txt says; then the pieces are joined
restore() {
	mkdir "$2" &&
	    sh -ec "$(readme_commands 'for v in' done "$2" "$1")"
}
check "README.txt: age, zstd, tar bring everything back" \
    restore "$b/keys/age.key" "$tmp/back"

# As README.txt says; what is in pieces goes first, since the file that was only
# renamed may be called as a piece is.
join_parts() {
	sh -ec "$(readme_commands "'*.causeway-part-0001-of-*'" '{} +' "$1" -)
$(readme_commands "'*.causeway-part-0001-of-0001'" '{} +' "$1" -)"
}
check "there are files in ten pieces and more" sh -c \
    'find "$1" -name "big.causeway-part-0010-of-*" | grep -q .' \
    sh "$tmp/back"
check "README.txt: the pieces are joined by find and cat" \
    join_parts "$tmp/back"

tree list "$tmp/back/mail" >"$tmp/back-mail"
tree list "$tmp/back/conf" >"$tmp/back-conf"
check "all mail is back: bytes, names, times, owners, modes" \
    diff "$tmp/list-mail" "$tmp/back-mail"
# Hard links are links within a volume only.
cut -f 1-6 "$tmp/list-conf" | sed 's/	is .*//' >"$tmp/want"
sed 's/	is .*//' "$tmp/back-conf" | cut -f 1-6 >"$tmp/got"
check "so is the other root, attributes and ACLs as well" \
    diff "$tmp/want" "$tmp/got"
check "diff finds no difference" \
    diff -r --no-dereference "$conf" "$tmp/back/conf"
check "holes are holes again" sh -c \
    '[ "$(stat -c %b "$1/sizes/sparse")" -lt 2048 ] &&
     [ "$(stat -c %b "$1/sizes/hole")" -lt 64 ]' sh "$tmp/back/conf"
check "hard links within a volume are hard links" \
    [ "$tmp/back/conf/links/empty" -ef "$tmp/back/conf/links/empty too" ]

site "$a" ls service --mtree >"$tmp/mtree" || fail "ls --mtree prints"
check "mtree says the same of it" mtree -p "$tmp/back" -f "$tmp/mtree"
mkdir "$tmp/store"
cp -a "$mail" "$tmp/store/mail"
cp -a "$conf" "$tmp/store/conf"
find "$tmp/store" -name '*.lock' -delete
check "mtree says the same of the store" mtree -p "$tmp/store" -f "$tmp/mtree"
if command -v rsync >/dev/null; then
	check "rsync would change nothing" sh -c '
		! rsync -anicOAXS --delete --out-format="%i %n" "$1/" "$2/" |
		    grep .' sh "$conf" "$tmp/back/conf"
fi

check "the escrow key alone brings the same back" \
    restore "$tmp/escrow.key" "$tmp/escrow"
check "byte for byte" sh -c 'python3 "$1/tree.py" list "$2/escrow" >"$2/e" &&
	mkdir "$2/again" && cd "$3" && sh -ec "$4" &&
	python3 "$1/tree.py" list "$2/again" | diff - "$2/e"' \
    sh "$here" "$tmp" "$seed" \
    "$(readme_commands 'for v in' done "$tmp/again" "$b/keys/age.key")"
age-keygen -o "$tmp/other.key" 2>/dev/null
check_status 1 "another key opens nothing" \
    age -d -i "$tmp/other.key" -o /dev/null 000001.tar.zst.age
check_status 1 "nor does the seeding site's own" \
    age -d -i "$a/keys/age.key" -o /dev/null 000001.tar.zst.age

last=$(ls [0-9]*.tar.zst.age | tail -n 1)
check "there are many volumes" [ "${last%%.*}" -gt 8 ]
check "every volume but the last has exactly the volume size" sh -c '
	for volume in [0-9]*.tar.zst.age; do
		[ "$volume" = "$1" ] ||
		[ "$(stat -c %s "$volume")" -eq 1048576 ] || exit 1
	done' sh "$last"
check "the last one has a PADME length" tree padme "$last"
check "each volume is a whole archive by itself" sh -ec '
	for volume in [0-9]*.tar.zst.age; do
		age -d -i "$1" "$volume" | zstd -dq | tar t >/dev/null
	done' sh "$b/keys/age.key"

check "the catalog is a SQLite file" sh -ec '
	age -d -i "$1" catalog.sqlite.zst.age | zstd -dq >"$2/catalog"
	[ "$(sqlite3 "$2/catalog" "PRAGMA integrity_check")" = ok ]
	[ "$(sqlite3 "$2/catalog" "SELECT count(*) FROM entry")" -gt 800 ]' \
    sh "$b/keys/age.key" "$tmp"
age -d -i "$b/keys/age.key" 000001.tar.zst.age | zstd -dq >"$tmp/1.tar"
check "causeway open makes the same tar of a volume" sh -ec '
	"$1" --home "$2" open 000001.tar.zst.age >"$3/2.tar"
	cmp "$3/1.tar" "$3/2.tar"' sh "$CAUSEWAY" "$b" "$tmp"

# And with Causeway, hard links across volumes are one file again.
cd "$tmp" || finish
mkdir "$tmp/replica-mail" "$tmp/replica-conf"
check "Causeway receives it" site "$b" receive "$medium" --store service \
    --root mail="$tmp/replica-mail" --root conf="$tmp/replica-conf"
tree list "$tmp/replica-mail" >"$tmp/got-mail"
tree list "$tmp/replica-conf" >"$tmp/got-conf"
check "its mail is the same, to the hard link" \
    diff "$tmp/list-mail" "$tmp/got-mail"
check "its other root is, too" diff "$tmp/list-conf" "$tmp/got-conf"
check "it has holes where the store has" sh -c \
    '[ "$(stat -c %b "$1/sizes/sparse")" -lt 2048 ]' sh "$tmp/replica-conf"

# On a disk that rotates the small files of a directory come by inode.
mkdir "$tmp/order" "$tmp/by-inode"
for name in 7 3 9 1 5 8 2 6 4; do
	echo "$name" >"$tmp/order/$name"
done
check "a store to be ordered" site "$a" store add order "$tmp/order"
check "a seed for a disk that rotates" env CAUSEWAY_ROTATING=1 "$CAUSEWAY" \
    --home "$a" seed order --for shreveport --to "$tmp/by-inode"
ls -i "$tmp/order" | sort -n | awk '{ print $2 }' >"$tmp/inodes"
site "$b" open "$tmp/by-inode"/causeway/*/000001.tar.zst.age |
    tar t | sed -n 's,^order/\(.\)$,\1,p' >"$tmp/packed"
check "has them in the order of inodes" diff "$tmp/inodes" "$tmp/packed"

# What tar headers or catalogs cannot hold costs no file.
mkdir "$tmp/far" "$tmp/far-seed" "$tmp/far-replica"
echo far >"$tmp/far/time"
touch -d 2400-01-01T00:00:00 "$tmp/far/time"
echo acl >"$tmp/far/acl"
setfacl -m u:4000000000:r "$tmp/far/acl"
check "a store with a time after 2262 and a user beyond 2^31" \
    site "$a" store add far "$tmp/far"
check "is sealed without loss" site "$a" seed far --for shreveport \
    --to "$tmp/far-seed"
check "and received" site "$b" receive "$tmp/far-seed" \
    --root "$tmp/far-replica"
check "with both files" diff -r "$tmp/far" "$tmp/far-replica"
check "and the access list" sh -c \
    'getfacl -cn "$1" 2>/dev/null | grep -qx user:4000000000:r--' \
    sh "$tmp/far-replica/acl"
finish
