#!/bin/sh
# A Dovecot index that is newer than the listing of the messages is left out of
# a seed, alone and without a fault; docs/decisions/late-index.md says why.
. "$(dirname "$0")/lib.sh"
. "$here/sites.sh"
need jq

a=$tmp/a b=$tmp/b medium=$tmp/medium replica=$tmp/replica
box=$tmp/vmail/ada
mkdir -p "$box/cur" "$box/new" "$box/tmp" "$medium" "$replica"
echo "From: ada@metairie.example" >"$box/cur/1132660000.M1P7.metairie:2,S"
echo "3 V1132660000 N2 G0123456789abcdef" >"$box/dovecot-uidlist"
echo "an index" >"$box/dovecot.index"
echo "its log" >"$box/dovecot.index.log"
touch -d '2005-11-22 12:00' "$box/dovecot.index" "$box"
# As one is that was written to while the seed was being packed.
touch -d '+1 hour' "$box/dovecot.index.log"

site_init "$a" metairie >/dev/null && site_init "$b" shreveport >/dev/null &&
    site_pair "$a" "$b" >/dev/null || fail "two sites trust each other"
check "the store is declared" site "$a" store add mail "$tmp/vmail"
check "the store is seeded" \
    sh -c '"$1" --home "$2" seed mail --for shreveport --to "$3" --json \
	>"$4"' sh "$CAUSEWAY" "$a" "$medium" "$tmp/said"
check "no file counts as unreadable" \
    [ "$(site_field "$tmp/said" unreadable)" -eq 0 ]
check "the seed verifies" site "$b" verify "$medium"
check "it is received, nothing is wanted" \
    site "$b" receive "$medium" --store mail --root "$replica"
check "the late log is left out" [ ! -e "$replica/ada/dovecot.index.log" ]
for file in dovecot.index dovecot-uidlist "cur/1132660000.M1P7.metairie:2,S"; do
	check "there is $file" cmp "$box/$file" "$replica/ada/$file"
done

# When nobody was at it a moment ago it is in a seed as any other file.
c=$tmp/c medium=$tmp/medium-c replica=$tmp/replica-c
mkdir "$medium" "$replica"
touch -d '2005-11-22 12:00' "$box/dovecot.index.log"
site_init "$c" slidell >/dev/null && site_pair "$a" "$c" >/dev/null ||
    fail "a third site is trusted"
check "a store at rest is seeded" \
    site "$a" seed mail --for slidell --to "$medium"
check "and received" \
    site "$c" receive "$medium" --store mail --root "$replica"
check "with the log" \
    cmp "$box/dovecot.index.log" "$replica/ada/dovecot.index.log"
finish
