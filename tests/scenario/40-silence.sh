#!/bin/sh
# No medium shows a name, an address or a subject; no medium, log or message
# shows a key.  Every byte is searched for thousands of them.
. "$(dirname "$0")/lib.sh"
. "$here/sites.sh"
need python3 jq age minisign

a=$tmp/metairie-home b=$tmp/shreveport-home medium=$tmp/medium
mail=$tmp/vmail.metairie.example said=$tmp/said
mkdir "$mail" "$medium" "$said" "$tmp/replica"
python3 "$here/tree.py" maildirs "$mail" 3200 || fail "a store is made"

# What a command says is kept; what happy ones say is kept apart.
say() {
	say_to=$1
	shift
	"$@" >"$said/$say_to.out" 2>"$said/$say_to.err" </dev/null
}
happy() {
	check_name=$1
	shift
	check "$check_name succeeds" say "happy-$check_name" "$@"
}
site_init "$a" metairie >/dev/null && site_init "$b" shreveport >/dev/null &&
    site_pair "$a" "$b" >/dev/null || fail "two sites are made"
cp "$a.card" "$b.card" "$said"

happy store-add site "$a" store add mail "$mail"
happy scan site "$a" scan mail
happy seed site "$a" --progress plain seed mail --for shreveport \
    --to "$medium" --volume-size 1M
happy verify site "$b" verify "$medium"
happy receive site "$b" --progress plain receive "$medium" --store mail \
    --root "$tmp/replica"
happy status-a site "$a" status --json
happy status-b site "$b" status
happy key site "$a" key
happy custody site "$b" custody "$medium"
for name in store-list status; do
	happy "$name" site "$a" $(echo $name | tr - ' ')
done

# Errors that have keys and plaintext at hand.
seed=$(echo "$medium"/causeway/????????????????)
cp -r "$medium" "$tmp/damaged"
printf 'damage' | dd of="$tmp/damaged/causeway/${seed##*/}/000001.tar.zst.age" \
    bs=1 seek=700000 conv=notrunc 2>/dev/null
rm "$tmp/damaged/causeway/${seed##*/}/"*.rs
mkdir "$tmp/other"
check_status 4 "damage is found" say error-damage \
    site "$b" verify "$tmp/damaged"
say error-receive site "$b" receive "$tmp/damaged" --store other \
    --root "$tmp/other"
check "and not received" [ $? -ne 0 ]
say error-open site "$a" open "$seed/000001.tar.zst.age"
check "the writer can not open its own volume" [ $? -ne 0 ]
say error-usage site "$a" seed mail --for nobody --to "$medium"
check "an unknown site is refused" [ $? -ne 0 ]
cp -r "$b" "$tmp/broken-home"
sed -i 's/^AGE-SECRET-KEY-1..../&Q/' "$tmp/broken-home/keys/age.key"
say error-key site "$tmp/broken-home" open "$seed/000001.tar.zst.age"
check "a key with a typo is refused" [ $? -ne 0 ]
sed -n 's/^AGE-SECRET-KEY-1//p' "$tmp/broken-home/keys/age.key" >"$tmp/typo"
check "and not shown" sh -c '! grep -rF "$(cut -c 8-40 "$1")" "$2"' \
    sh "$tmp/typo" "$said"
rm -rf "$tmp/broken-home"

check_status 1 "the search finds them where they are" \
    python3 "$here/tree.py" silent "$mail" -- "$tmp/replica"
check "no medium shows a name, an address or a subject" \
    python3 "$here/tree.py" silent "$mail" -- "$medium"
grep '^searched' "$tmp/check.out" | sed 's/^/    /'
check "neither does what is said on the way" \
    sh -c 'mkdir "$2/happy" && mv "$2"/happy-* "$2/happy" &&
	python3 "$1/tree.py" silent "$3"/*@* -- "$2/happy"' \
    sh "$here" "$said" "$mail"
check "nor any log in the homes" sh -c '
	find "$2" "$3" -type f -name "*.log" | while read -r log; do
		python3 "$1/tree.py" silent "$4"/*@* -- "$log" || exit 1
	done' sh "$here" "$a" "$b" "$mail"

check_status 1 "the search for keys finds them where they are" \
    python3 "$here/tree.py" keyless "$a/keys" -- "$a"
check "no medium shows a key" \
    python3 "$here/tree.py" keyless "$a/keys" "$b/keys" -- \
    "$medium" "$tmp/damaged"
grep '^searched' "$tmp/check.out" | sed 's/^/    /'
check "nothing that was said shows a key" \
    python3 "$here/tree.py" keyless "$a/keys" "$b/keys" -- "$said"

# A home has its keys in keys/ and nowhere else; nobody but root reads it.
for home in "$a" "$b"; do
	cp -r "$home" "$tmp/copy" && rm -rf "$tmp/copy/keys"
	check "${home##*/} has its keys in keys/ alone" \
	    python3 "$here/tree.py" keyless "$a/keys" "$b/keys" -- "$tmp/copy"
	rm -rf "$tmp/copy"
	check "${home##*/} is for its owner alone" \
	    [ "$(stat -c %a "$home" "$home/keys" "$home/keys/age.key" \
		"$home/keys/minisign.key" | tr '\n' ' ')" = \
	    "700 700 600 600 " ]
done
check "no replica holds a key" python3 "$here/tree.py" keyless \
    "$a/keys" "$b/keys" -- "$tmp/replica"

# With a passphrase the keys are nowhere at all.
c=$tmp/biloxi-home
CAUSEWAY_PASSPHRASE='a levee of five words'
export CAUSEWAY_PASSPHRASE
say passphrase-init site "$c" init biloxi --passphrase
check "a home with a passphrase is made" [ $? -eq 0 ]
site "$c" card >"$c.card"
site_pair "$b" "$c" >/dev/null
mkdir "$tmp/medium-c"
check "its keys do their work" say passphrase-seed sh -c '
	"$1" --home "$2" store add mail "$3" &&
	"$1" --home "$2" seed mail --for shreveport --to "$4"' \
    sh "$CAUSEWAY" "$c" "$mail" "$tmp/medium-c"
mkdir "$tmp/plain-keys"
check "age opens its key with the passphrase" \
    python3 "$here/typed.py" "$CAUSEWAY_PASSPHRASE" \
    age -d -o "$tmp/plain-keys/age.key" "$c/keys/age.key"
unset CAUSEWAY_PASSPHRASE
check "the passphrase is nowhere" sh -c \
    '! grep -raF "a levee of five words" "$@"' sh "$c" "$said" "$tmp/medium-c"
check "its key is nowhere" python3 "$here/tree.py" keyless \
    "$tmp/plain-keys" -- "$c" "$said" "$tmp/medium-c"
finish
