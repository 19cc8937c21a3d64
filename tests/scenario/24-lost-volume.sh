#!/bin/sh
# A volume that is gone from an unfinished seed is packed again under another
# number.  The numbers then have a gap, and nobody minds.
. "$(dirname "$0")/lib.sh"
. "$here/sites.sh"
need split

a=$tmp/a b=$tmp/b store=$tmp/vmail medium=$tmp/medium replica=$tmp/replica
mkdir -p "$store/files" "$medium" "$replica"
# Nothing that shrinks: so many volumes, whatever the machine.
head -c 60000000 /dev/urandom | split -b 300000 -a 4 - "$store/files/f"

site_init "$a" metairie >/dev/null && site_init "$b" shreveport >/dev/null &&
    site_pair "$a" "$b" >/dev/null || fail "two sites trust each other"
check "the store is declared" site "$a" store add mail "$store"

# The volumes that count are those of the ledger.
recorded() {
	cat "$a"/seeds/*/ledger 2>/dev/null | grep -c "^volume "
}
"$CAUSEWAY" --home "$a" seed mail --for shreveport --to "$medium" \
    --volume-size 1M >"$tmp/seed.out" 2>&1 &
pid=$!
while kill -0 $pid 2>/dev/null && [ "$(recorded)" -lt 4 ]; do
	sleep 0.01
done
kill -KILL $pid 2>/dev/null
wait $pid 2>/dev/null
[ "$(recorded)" -ge 4 ] || sed 's/^/    /' "$tmp/seed.out"
check "a seed is killed when it has four volumes" [ "$(recorded)" -ge 4 ]
seed=$(echo "$medium"/causeway/????????????????)
check "and is not finished" [ ! -e "$seed/MANIFEST.minisig" ]

rm -f "$seed/000002.tar.zst.age"
check "it is gone on with, though a volume is gone" \
    site "$a" seed mail --for shreveport --to "$medium"
check "no volume has that number again" [ ! -e "$seed/000002.tar.zst.age" ]
check "nor does the manifest list one" sh -c '
	grep -q " 000003.tar.zst.age$" "$1/MANIFEST" &&
	! grep -q " 000002.tar.zst.age$" "$1/MANIFEST"' sh "$seed"
check "the seed verifies" site "$b" verify "$medium"
check "it is received, nothing is wanted" \
    site "$b" receive "$medium" --store mail --root "$replica"
check "and all is there" diff -r "$store" "$replica"
finish
