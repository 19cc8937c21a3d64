#!/bin/sh
# Before media are shipped a gate is passed; a slip goes with them, which a
# person reads and a telephone scans; what happened to them is in a log; and
# what arrived comes back as a receipt, by a line of text or by the link.
. "$(dirname "$0")/lib.sh"
. "$here/sites.sh"
need jq minisign

a=$tmp/a b=$tmp/b c=$tmp/c store=$tmp/vmail
one=$tmp/one two=$tmp/two replica=$tmp/replica
mkdir -p "$store/files" "$one" "$two"
i=0
while [ $i -lt 40 ]; do
	head -c 50000 /dev/urandom >"$store/files/f$i"
	i=$((i + 1))
done
site_init "$a" metairie >/dev/null && site_init "$b" shreveport >/dev/null &&
    site_init "$c" baton >/dev/null && site_pair "$a" "$b" >/dev/null ||
    fail "two sites trust each other"
check "a store is declared" site "$a" store add mail "$store"
check "and sealed, with parity over two media" site "$a" seed mail \
    --for shreveport --to "$one" --to "$two" --volume-size 256k
id=$(basename "$(echo "$a"/seeds/????????????????)")

# ---- the gate ----

json() {
	"$CAUSEWAY" --home "$@" --json >"$tmp/json" 2>"$tmp/err"
	lib_code=$?
	cat "$tmp/json" "$tmp/err"
	return $lib_code
}
reasons() {
	jq -r '(.reasons[], .media[].reasons[])' "$tmp/json"
}

check_status 7 "media that were not mounted anew are held back" \
    json "$a" seed close "$one" "$two"
check "with a reason for each" [ "$(jq '[.media[].ready] | any' \
    "$tmp/json")" = false ]
check "that says what to do" sh -c 'echo "$1" | grep -q -- --no-remount' sh \
    "$(reasons)"
check "nothing was said to be closed" sh -c \
    '! "$1" --home "$2" custody "$3" | grep -q closed' sh \
    "$CAUSEWAY" "$a" "$one"
check_status 7 "one of two media is not enough" \
    json "$a" seed close "$one" --no-remount
check "it is closed itself" jq -e \
    '.ready == false and (.media[] | select(.medium == 1).ready)' "$tmp/json"
check "and the other one is named, once" jq -e '.reasons == [] and
    (.media[] | select(.medium == 2).reasons | length == 1 and
    (.[0] | test("not here")))' "$tmp/json"
check "its log has the event" sh -c \
    '"$1" --home "$2" custody "$3" | grep -q "closed *metairie"' sh \
    "$CAUSEWAY" "$a" "$one"

file=$(ls "$two"/causeway/"$id"/0*.tar.zst.age | head -n 1)
cp -p "$file" "$tmp/saved"
printf damage | dd of="$file" bs=1 seek=100000 conv=notrunc 2>/dev/null
check_status 7 "a damaged medium is held back" \
    json "$a" seed close "$two" --no-remount
check "and what is wrong is named" sh -c 'echo "$1" | grep -q "$2"' sh \
    "$(reasons)" "$(basename "$file")"
cp -p "$tmp/saved" "$file"
rm "$two/causeway/$id/CHECKSUMS"
check_status 7 "a medium with a missing file is held back" \
    json "$a" seed close "$two" --no-remount
cp -p "$two/causeway/$id/copy/CHECKSUMS" "$two/causeway/$id/CHECKSUMS"

cp "$a/causeway.conf" "$tmp/conf"
sed '/^\[peer "shreveport"\]/,$d' "$tmp/conf" >"$a/causeway.conf"
sed -n '/^\[store/,$p' "$tmp/conf" >>"$a/causeway.conf"
check_status 7 "a seed for a site that is not paired is held back" \
    json "$a" seed close "$two" --no-remount
check "and that is said" sh -c 'echo "$1" | grep -q "not paired"' sh \
    "$(reasons)"
check "its medium is not closed, though it is good" jq -e \
    '.media[] | select(.medium == 2).ready == false' "$tmp/json"
cp "$tmp/conf" "$a/causeway.conf"

check "when all is well the second one passes, and with it the seed" \
    json "$a" seed close "$two" --no-remount
check "ready" jq -e '.ready and .reasons == []' "$tmp/json"
check "the id alone finds the media where they were written" \
    json "$a" seed close "$id" --no-remount
check "it is done once" [ "$("$CAUSEWAY" --home "$a" custody "$one" |
    grep -c ' closed ')" = 1 ]
check_status 4 "nobody closes what he did not seal" \
    site "$b" seed close "$one" --no-remount
printf damage | dd of="$file" bs=1 seek=100000 conv=notrunc 2>/dev/null
check_status 7 "damage after closing opens it again" \
    json "$a" seed close "$two" --no-remount
cp -p "$tmp/saved" "$file"
check "mended, it passes again" site "$a" seed close "$two" --no-remount

# ---- the slip ----

site "$a" seed slip "$id" --medium 2 --call 'Ann Otis +1 504 555 0100' \
    >"$tmp/slip" 2>"$tmp/slip.err"
sha=$(sha256sum "$two/causeway/$id/MANIFEST" | cut -d ' ' -f 1)
check "a slip names seed, medium and whom to call" sh -c '
	grep -q "$2" "$1" && grep -q "2 of 2" "$1" &&
	grep -q "CALL  Ann Otis +1 504 555 0100" "$1"' sh "$tmp/slip" "$id"
check "its digits are the manifest's" [ "$(sed -n \
    '/Manifest /{N;s/[^0-9a-f]*Manifest//;s/[^0-9a-f]//g;p}' "$tmp/slip")" = \
    "$sha" ]
check "no warning, as it is closed" [ ! -s "$tmp/slip.err" ]
check "no line is wider than a page" [ "$(wc -L <"$tmp/slip")" -le 80 ]
check "the contact may stand in the configuration" sh -c '
	sed -i "s/^\[site\]/&\ncontact = Bo Weil 318/" "$2/causeway.conf" &&
	"$1" --home "$2" seed slip "$3" | grep -c "CALL  Bo Weil 318" |
	    grep -qx 2' sh "$CAUSEWAY" "$a" "$id"
check "names of sites can be left out" sh -c '
	! "$1" --home "$2" seed slip "$3" --no-names |
	    grep -q -e metairie -e shreveport' sh "$CAUSEWAY" "$a" "$id"
site "$a" --json seed slip "$id" >"$tmp/slip.json" 2>/dev/null
code=$(jq -r '.slips[1].code' "$tmp/slip.json")
check "the code says the same in a line" [ "$code" = \
    "causeway-slip 1 $id 2/2 $sha -" ]
if command -v zbarimg >/dev/null; then
	check "the code can be drawn" \
	    python3 "$here/slip.py" "$tmp/slip" "$tmp/slip.pbm"
	check "and a telephone reads it" [ "$(zbarimg -q --raw \
	    "$tmp/slip.pbm" 2>/dev/null)" = "$code" ]
else
	echo "skip: zbarimg is not installed: the slip's code is not read"
fi

# ---- on the way ----

check "who gives a medium away signs it" site "$a" custody "$one" "$two" \
    --event handed-over --note 'courier 1234'
check "the other site notes what arrived" site "$b" custody "$one" \
    --event received --note 'box was wet'
check_status 2 "an event that a command has to earn cannot be noted" \
    site "$b" custody "$one" --event verified
check "the logs of several media are compared" json "$b" custody "$one" "$two"
check "and what one lacks is said" jq -e '
	(.media | length) == 2 and (.differences | length) == 1 and
	(.differences[0] | contains("received"))' "$tmp/json"
check "signers are known by name" jq -e '
	[.media[0].events[] | [.event, .standing, .signer_name]] |
	contains([["handed-over", "paired", "metairie"],
	    ["received", "self", "shreveport"]])' "$tmp/json"
cp "$one/causeway/$id/CUSTODY" "$tmp/custody"
sed -i 's/box was wet/box was dry/' "$one/causeway/$id/CUSTODY"
check_status 5 "a changed log is found" json "$b" custody "$one" "$two"
check "and the other one is shown all the same" jq -e \
    '.media[0].wrong != null and .media[1].wrong == null' "$tmp/json"
cp "$tmp/custody" "$one/causeway/$id/CUSTODY"

# ---- receipts ----

check_status 4 "there is no receipt before the import" \
    site "$b" seed receipt "$id"
check_status 4 "half of the media is imported in part" \
    json "$b" receive "$one" --root "$replica"
part=$(jq -r .receipt "$tmp/json")
check "the receipt says so" sh -c 'case $1 in
	causeway-receipt1\ "$2"\ *) ;; *) exit 1 ;; esac' sh "$part" "$id"
check_status 4 "which the first site hears" json "$a" seed confirm "$part"
check "as files that are missing" jq -e \
    '.complete == false and .wanted > 0' "$tmp/json"
check "the rest is imported" json "$b" receive "$one" "$two" --root "$replica"
line=$(jq -r .receipt "$tmp/json")
check "the receipt can be had again" [ "$(site "$b" seed receipt "$id")" = \
    "$line" ]
check "each log says that it was received and imported" sh -c '
	for medium in "$3" "$4"; do
		"$1" --home "$2" custody "$medium" >"$5" &&
		grep -q "received *shreveport" "$5" &&
		grep -q "imported *shreveport" "$5" || exit 1
	done' sh "$CAUSEWAY" "$a" "$one" "$two" "$tmp/log"

state() {
	"$CAUSEWAY" --home "$a" --json status |
	    jq -r ".stores[0].seeds[0] | $1"
}
check "the first site shows what it knows" [ "$(state \
    '[.seed_id, .for, .state, .confirmed, .complete] | join(" ")')" = \
    "$id shreveport closed true false" ]
check_status 5 "a receipt with a changed word is refused" \
    site "$a" seed confirm "$(echo "$part" |
	sed -E 's/ [0-9]+ (20[0-9-]+T)/ 0 \1/')"
check_status 5 "so is one of a site that is not paired" \
    site "$c" seed confirm "$line"
check_status 4 "and what is no receipt" site "$a" seed confirm hello
check "a receipt that mail has wrapped is taken" sh -c '
	echo "  $3" | sed "s/ /\r\n\t/g" | "$1" --home "$2" seed confirm -' \
    sh "$CAUSEWAY" "$a" "$line"
check "now it is confirmed" [ "$(state \
    '[.confirmed, .complete, .confirmed_by, .wanted] | join(" ")')" = \
    "true true shreveport 0" ]
check_status 4 "the older one is no secret" site "$a" seed confirm "$part"
check "and takes nothing back" [ "$(state .complete)" = true ]
check "people are told, and that deletions may go" sh -c '
	"$1" --home "$2" status >"$3"
	grep -q "confirmed by shreveport" "$3" &&
	grep -q "need not be kept" "$3"' sh "$CAUSEWAY" "$a" "$tmp/status"

# ---- by the link ----

rm "$a/seeds/$id/receipt"
check "without it the seed is not confirmed" [ "$(state .confirmed)" = false ]
. "$here/linked.sh"
daemon_start "$a"
site "$b" pair "$(cat "$a.card")" --at "127.0.0.1:$(cat "$a.listen")" \
    >/dev/null || fail "the second site knows where the first one listens"
check "the second site comes for a sync" site "$b" sync mail
check "and brings its receipt along" [ "$(state \
    '[.confirmed, .complete] | join(" ")')" = "true true" ]
await "which is told" grep -q "$id is confirmed" "$a.log"
check "once" [ "$(grep -c "$id is confirmed" "$a.log")" = 1 ]
check "the daemon ends in order" daemon_stop "$a"
finish
