#!/bin/sh
# Whatever is on a medium: it is refused with the right status, nothing is
# written outside the root, and nothing crashes under ASan and UBSan.  All
# bytes of the headers are flipped in tests/crash/30-hostile-full.sh.
. "$(dirname "$0")/lib.sh"
. "$here/sites.sh"
. "$here/hostile.sh"
hostile_begin

# The wrong people
mkdir "$work/for-c" "$work/by-c" "$work/c-store"
echo text >"$work/c-store/file"
check "a seed for a third site is made" \
    site "$a" seed mail --for mobile --to "$work/for-c" --new
check_status 5 "a seed for another site is refused" \
    site "$b" receive "$work/for-c" --root "$work/no"
check "and nothing was written" [ ! -e "$work/no" ]
check "anyone can verify it, though" site "$b" verify "$work/for-c"
check "a site that nobody here trusts makes a seed" sh -c \
    '"$0" --home "$1" store add mail "$2" &&
     "$0" --home "$1" seed mail --for shreveport --to "$3"' \
    "$CAUSEWAY" "$c" "$work/c-store" "$work/by-c"
check_status 5 "verify does not trust it" site "$b" verify "$work/by-c"
check_status 5 "nor does receive" \
    site "$b" receive "$work/by-c" --root "$work/no"
check "and nothing was written" [ ! -e "$work/no" ]
check_status 5 "without a home nobody is trusted" \
    env HOME=/nonexistent "$CAUSEWAY" verify "$medium"
check "but who is named" "$CAUSEWAY" verify "$medium" \
    --signer "$a/keys/minisign.pub"
check_status 5 "and nobody else" "$CAUSEWAY" verify "$medium" \
    --signer "$c/keys/minisign.pub"

# An old one in place of a new one
cp -a "$medium" "$work/old"
echo more >"$store/more"
rm -rf "$work/new"
mkdir "$work/new"
check "a newer seed is made" sh -c \
    '"$0" --home "$1" scan mail && "$0" --home "$1" seed mail \
	--for shreveport --to "$2" --volume-size 64k --new' \
    "$CAUSEWAY" "$a" "$work/new"
check "it is received" site "$b" receive "$work/new" --root "$work/replica"
check_status 5 "the older one then is not" \
    site "$b" receive "$work/old" --root "$work/other"
check "nothing was written" sh -c '! ls -A "$0" 2>/dev/null | grep .' \
    "$work/other"
check "nor changed" diff -r --no-dereference "$store" "$work/replica"
check_status 7 "with --allow-older it still needs an empty directory" \
    site "$b" receive "$work/old" --root "$work/replica" --allow-older
check "with --allow-older it is" \
    site "$b" receive "$work/old" --root "$work/other" --allow-older
rm "$store/more"
check "and is what it was" diff -r --no-dereference "$store" "$work/other"

# An old manifest with new volumes: all of one seed's text files on the other
old=$(echo "$work"/old/causeway/????????????????)
new=$(echo "$work"/new/causeway/????????????????)
cp "$old/MANIFEST" "$old/MANIFEST.minisig" "$new"
cp "$old/MANIFEST" "$old/MANIFEST.minisig" "$new/copy"
check_status 5 "an old manifest with new volumes is not trusted" \
    site "$work/b0" verify "$work/new"
mv "$new" "$work/new/causeway/${old##*/}"
check_status 4 "nor are the volumes under the old name" \
    site "$work/b0" verify "$work/new"

check "flipped bytes are found, and nothing wrong is ever written" flips 29
cat "$tmp/check.out"
mkdir "$work/parity"
check "a seed with parity is made" site "$a" seed mail --for shreveport \
    --to "$work/parity" --volume-size 64k --parity 10+1 --new
without=$medium medium=$work/parity
check "of one with parity they are found, too, and made good" flips 97
cat "$tmp/check.out"
medium=$without
check "forged seeds and changed media are refused" forged
cat "$tmp/check.out"
archives=$root/../shared/data/archives
if [ -d "$archives" ]; then
	check "so are the archives of others" \
	    forged --archives "$archives" --only "the archive"
else
	echo "skip: the archives of the shared data are not here"
	check "so are archives that try to escape" forged \
	    --archives "$root/tests/vectors/volume" --only "the archive"
fi
tail -n 1 "$tmp/check.out"
finish
