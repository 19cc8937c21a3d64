#!/bin/sh
# A volume that is gone from an unfinished seed is packed again under another
# number.  The numbers then have a gap, and nobody minds.
. "$(dirname "$0")/lib.sh"
. "$here/sites.sh"
need split
need_stopat

a=$tmp/a b=$tmp/b store=$tmp/vmail medium=$tmp/medium replica=$tmp/replica
mkdir -p "$store/files" "$medium" "$replica"
# Nothing that shrinks: so many volumes, whatever the machine.
head -c 60000000 /dev/urandom | split -b 300000 -a 4 - "$store/files/f"

site_init "$a" metairie >/dev/null && site_init "$b" shreveport >/dev/null &&
    site_pair "$a" "$b" >/dev/null || fail "two sites trust each other"
check "the store is declared" site "$a" store add mail "$store"

# The volumes that count are those of the ledger: one sync each.
check_status 137 "a seed is killed in the midst" "$tmp/stopat" \
    --path /ledger --calls fsync,fdatasync --kill 7 "$CAUSEWAY" --home "$a" \
    seed mail --for shreveport --to "$medium" --volume-size 1M
sed -n 's/^volume \([0-9]*\) .*/\1/p' "$a"/seeds/*/ledger >"$tmp/recorded"
check "when it has four volumes" [ "$(wc -l <"$tmp/recorded")" -ge 4 ]
seed=$(echo "$medium"/causeway/????????????????)
check "and is not finished" [ ! -e "$seed/MANIFEST.minisig" ]

lost=$(printf %06d "$(sort -n "$tmp/recorded" | head -n 1)").tar.zst.age
next=$(printf %06d "$(sort -n "$tmp/recorded" | sed -n 2p)").tar.zst.age
check "one of them is lost" rm "$seed/$lost"
check "it is gone on with, though a volume is gone" \
    site "$a" seed mail --for shreveport --to "$medium"
check "no volume has that number again" [ ! -e "$seed/$lost" ]
check "nor does the manifest list one" sh -c '
	grep -q " $3$" "$1/MANIFEST" &&
	! grep -q " $2$" "$1/MANIFEST"' sh "$seed" "$lost" "$next"
check "the seed verifies" site "$b" verify "$medium"
check "it is received, nothing is wanted" \
    site "$b" receive "$medium" --store mail --root "$replica"
check "and all is there" diff -r "$store" "$replica"
finish
