#!/bin/sh
# A key in escrow: any three of five shares put it together again, two do not,
# and a mistyped character is named.  With that key alone, and the media, a
# site that lost its own key gets the mail back; so do the stock tools.
. "$(dirname "$0")/lib.sh"
. "$here/sites.sh"
need jq age age-keygen zstd tar

a=$tmp/a b=$tmp/b c=$tmp/c store=$tmp/vmail medium=$tmp/medium
mkdir -p "$store/files" "$medium"
head -c 1000000 /dev/urandom | split -b 20000 - "$store/files/f"
site_init "$a" metairie >/dev/null && site_init "$b" shreveport >/dev/null &&
    site_pair "$a" "$b" >/dev/null || fail "two sites trust each other"

# ---- shares ----

shares=$tmp/shares
check "the site's key is split" site "$b" key split 5 3 --out "$shares"
check "into files for their owner alone" sh -c '
	[ "$(stat -c %a "$1"/* | sort -u)" = 600 ] &&
	[ "$(ls "$1"/share-*.txt | wc -l)" = 5 ] && [ -s "$1/README.txt" ]' sh \
    "$shares"
check_status 7 "never over shares that are there" \
    site "$b" key split 5 3 --out "$shares"
check_status 7 "and to no pipe, unless that is asked for" \
    sh -c '"$1" --home "$2" key split 5 3 | cat; exit "$("$1" --home "$2" \
    key split 5 3 >/dev/null 2>&1; echo $?)"' sh "$CAUSEWAY" "$b"
want=$(grep AGE-SECRET "$b/keys/age.key")
join() {
	rm -f "$tmp/joined"
	"$CAUSEWAY" key join --out "$tmp/joined" "$@"
}
said() {
	"$@" >"$tmp/said" 2>&1
}
failed=
for x in 1 2 3 4 5; do for y in 1 2 3 4 5; do for z in 1 2 3 4 5; do
	[ $x -lt $y ] && [ $y -lt $z ] || continue
	join "$shares/share-0$x.txt" "$shares/share-0$y.txt" \
	    "$shares/share-0$z.txt" >/dev/null 2>&1 &&
	    [ "$(grep AGE-SECRET "$tmp/joined")" = "$want" ] &&
	    [ "$(stat -c %a "$tmp/joined")" = 600 ] ||
	    failed="$failed $x$y$z"
done; done; done
check "any three of the five give the key" [ -z "$failed" ]
failed=
for x in 1 2 3 4 5; do for y in 1 2 3 4 5; do
	[ $x -lt $y ] || continue
	join "$shares/share-0$x.txt" "$shares/share-0$y.txt" \
	    >"$tmp/out" 2>&1
	[ $? -eq 4 ] && [ ! -e "$tmp/joined" ] &&
	    grep -q "bring 1 more" "$tmp/out" || failed="$failed $x$y"
done; done
check "no two of them do, and that is said" [ -z "$failed" ]

cp -r "$shares" "$tmp/typed"
python3 - "$tmp/typed/share-02.txt" <<'END'
import sys
lines = open(sys.argv[1]).read().splitlines()
words = lines[-1].split(' ')
letter = 'q' if words[6][4] != 'q' else 'p'
words[6] = words[6][:4] + letter + words[6][5:]
lines[-1] = ' '.join(words)
open(sys.argv[1], 'w').write('\n'.join(lines) + '\n')
END
check_status 4 "a mistyped character is found" \
    said join "$tmp/typed/share-01.txt" "$tmp/typed/share-02.txt" \
    "$tmp/typed/share-03.txt"
check "and its place is named" grep -q \
    "share-02.txt, share 1: .*group 3 .*is wrong" "$tmp/said"
check "capitals and line breaks do not matter" sh -c '
	cat "$2/share-01.txt" "$2/share-04.txt" "$2/share-05.txt" |
	    grep -v "^#" | tr a-z A-Z | tr " " "\n" |
	    "$1" key join - --out "$3"' sh "$CAUSEWAY" "$shares" "$tmp/typed.key"
check "nor does where they come from" [ "$(grep AGE-SECRET \
    "$tmp/typed.key")" = "$want" ]
check "the key is split again" site "$b" key split 5 3 --out "$tmp/again"
check_status 5 "shares of two splits do not mix" \
    join "$shares/share-01.txt" "$shares/share-02.txt" \
    "$tmp/again/share-03.txt"
check_status 7 "a key is not printed into a file" \
    sh -c 'cat "$2"/share-0[123].txt | "$1" key join --print >"$3"' sh \
    "$CAUSEWAY" "$shares" "$tmp/printed"
check_status 2 "one share cannot be enough" site "$b" key split 3 1 --print

# ---- the site's key is lost, the escrow key is not ----

age-keygen -o "$tmp/escrow.key" 2>/dev/null
check "an escrow key of its own is split" site "$a" key split 3 2 \
    --identity "$tmp/escrow.key" --out "$tmp/escrow"
recipient=$(age-keygen -y "$tmp/escrow.key")
rm "$tmp/escrow.key"
check "a store is declared" site "$a" store add mail "$store"
check "and sealed for the site and the escrow key" site "$a" seed mail \
    --for shreveport --recipient "$recipient" --to "$medium" --volume-size 256k
rm -rf "$b" # with all its keys

join "$tmp/escrow/share-03.txt" "$tmp/escrow/share-01.txt" >/dev/null 2>&1
check "two of three shares give the escrow key" [ "$(age-keygen -y \
    "$tmp/joined")" = "$recipient" ]
key=$tmp/key
mv "$tmp/joined" "$key"
seed=$(echo "$medium"/causeway/????????????????)
check "the stock tools open a volume with it" sh -c '
	age -d -i "$1" "$2/000001.tar.zst.age" | zstd -dq | tar t |
	    grep -q files/' sh "$key" "$seed"
check "so does open, without any home" sh -c '
	"$1" open --identity "$2" "$3/000001.tar.zst.age" | tar t |
	    grep -q files/' sh "$CAUSEWAY" "$key" "$seed"
# A new site, which knows nothing but the sender's card.
site_init "$c" baton >/dev/null
check "a fresh site trusts the sender" site "$c" pair "$(cat "$a.card")"
check_status 5 "its own key does not open the seed" \
    site "$c" receive "$medium" --root "$tmp/replica"
check "the escrow key does" site "$c" receive "$medium" \
    --root "$tmp/replica" --identity "$key"
check "and all of the mail is there" diff -r "$store" "$tmp/replica"
check "the sender takes its receipt, once it is paired" sh -c '
	"$1" --home "$2" pair "$(cat "$4")" >/dev/null &&
	"$1" --home "$3" seed receipt "$5" |
	    "$1" --home "$2" seed confirm -' sh \
    "$CAUSEWAY" "$a" "$c" "$c.card" "$(basename "$seed")"
finish
