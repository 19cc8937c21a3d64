#!/bin/sh
# What a script can rely on: exit statuses, JSON objects, refusals that change
# nothing, keys that the stock tools take.
. "$(dirname "$0")/lib.sh"
. "$here/sites.sh"
need python3 jq age age-keygen minisign zstd tar mtree

a=$tmp/metairie b=$tmp/shreveport
mkdir "$tmp/mail" "$tmp/mail/new" "$tmp/etc" "$tmp/elsewhere"
echo one >"$tmp/mail/new/one"
printf 'odd' >"$tmp/mail/$(printf 'a *[b]\\ #\nc')"
ln -s 'new/one two' "$tmp/mail/link"
touch -d '2005-08-29 06:10:00.123456789' "$tmp/mail/new/one"

# One object with "version":1 and nothing else, of which FILTER holds.
json() {
	json_filter=$1
	shift
	"$@" >"$tmp/json" 2>"$tmp/json.err"
	json_status=$?
	[ "$(wc -l <"$tmp/json")" -eq 1 ] && jq -es \
	    "length == 1 and .[0].version == 1 and (.[0] | $json_filter)" \
	    "$tmp/json" >/dev/null && return "$json_status"
	echo "not: $json_filter (status $json_status)"
	cat "$tmp/json" "$tmp/json.err"
	return 99
}
says() {
	says_what=$1
	shift
	"$@" >"$tmp/says" 2>&1
	says_status=$?
	grep -qF -e "$says_what" "$tmp/says" && return "$says_status"
	echo "did not say: $says_what (status $says_status)"
	cat "$tmp/says"
	return 99
}

# Usage
check "--help goes to standard output" sh -c \
    '"$0" --help >"$2" 2>"$1" && grep -q "usage: causeway" "$2" &&
	[ ! -s "$1" ]' "$CAUSEWAY" "$tmp/err" "$tmp/out"
check "--version is told" says "causeway " "$CAUSEWAY" --version
check_status 2 "no command is wrong usage" "$CAUSEWAY"
check_status 2 "an unknown command is, too" says elephant "$CAUSEWAY" elephant
check_status 2 "and an unknown option" says --jsno "$CAUSEWAY" --jsno status
check_status 2 "and an unknown option of a command" \
    says --jsno "$CAUSEWAY" status --jsno
check_status 2 "and a missing value" says --home "$CAUSEWAY" status --home
check_status 2 "and a wrong one" "$CAUSEWAY" --progress some status
check_status 2 "and --home together with --config" \
    "$CAUSEWAY" --home "$a" --config "$a/causeway.conf" status
check_status 2 "wrong usage is JSON where JSON is asked for" \
    json '.error.code == "usage"' "$CAUSEWAY" --json elephant
for command in init card pair key store scan status ls seed verify receive \
    custody open media; do
	check "$command --help explains it" \
	    says "usage: causeway $command" "$CAUSEWAY" "$command" --help
	check "help $command does, too" \
	    says "usage: causeway $command" "$CAUSEWAY" help "$command"
done

# Sites
check_status 1 "no home says what to do" \
    says "init NAME" site "$a" status
check_status 2 "a site's name has small letters" site "$a" init Metairie
check_status 2 "init takes one name" site "$a" init
check_status 2 "--listen takes HOST:PORT" \
    site "$a" init metairie --listen 7625
check "nothing was made by that" [ ! -e "$a/causeway.conf" ]
check "init makes a site" \
    json '.name == "metairie" and (.card | startswith("causeway1 ")) and
	(.fingerprint | length) > 40 and .config and .state' \
    site "$a" init metairie --listen 127.0.0.1:7625 --json
check "the home is private" sh -c \
    '[ "$(stat -c %a "$0" "$0/keys" "$0/keys/age.key" \
	"$0/keys/minisign.key" | tr "\n" " ")" = "700 700 600 600 " ]' "$a"
cp -r "$a/keys" "$tmp/keys.before"
check_status 7 "a second init is refused" site "$a" init metairie
check_status 7 "under another name, too" site "$a" init shreveport
check "and left the keys alone" diff -r "$a/keys" "$tmp/keys.before"
check "the second site is made" site_init "$b" shreveport

check "card prints one line" sh -c \
    '[ "$("$0" --home "$1" card | wc -l)" -eq 1 ]' "$CAUSEWAY" "$a"
check "card --json has all of it" \
    json '.name and .card and .fingerprint and
	(.age_recipient | startswith("age1")) and
	(.minisign_key | length) == 56' site "$a" card --json
check "global options may stand behind the command" \
    json '.name == "metairie"' "$CAUSEWAY" card --home="$a" --json
check "--fingerprint is the fingerprint" sh -c \
    '[ "$("$0" --home "$1" card --fingerprint)" = \
	"$("$0" --home "$1" card --json | jq -r .fingerprint)" ]' \
    "$CAUSEWAY" "$a"
check "--qr draws" says "█" site "$a" card --qr
check "age-keygen reads the key, and knows the recipient of the card" sh -c \
    '[ "$(age-keygen -y "$1/keys/age.key")" = \
	"$("$0" --home "$1" card --json | jq -r .age_recipient)" ]' \
    "$CAUSEWAY" "$a"
check "minisign signs with the key without a passphrase" sh -ec '
	echo text >"$2/text"
	minisign -S -s "$1/keys/minisign.key" -m "$2/text" </dev/null
	minisign -V -m "$2/text" -p "$1/keys/minisign.pub"
	minisign -V -m "$2/text" \
	    -P "$("$0" --home "$1" card --json | jq -r .minisign_key)"' \
    "$CAUSEWAY" "$a" "$tmp"
check "key says where the keys are" \
    json '.age_file and .minisign_file and .encrypted == false' \
    site "$a" key --json

# Pairing
card=$(cat "$b.card")
check "pair trusts a site and says its fingerprint" \
    says "$(site "$b" card --fingerprint)" site "$a" pair "$card"
check "pairing again is no change" \
    json '.is_new == false and .name == "shreveport"' \
    site "$a" pair "$card" --json
check "a card in pieces is a card" site "$a" pair $card
check "an address can be given later" \
    json '.address == "h:1"' site "$a" pair "$card" --at h:1 --json
check_status 2 "no card is wrong usage" site "$a" pair
check_status 2 "a card with a typo is refused" \
    site "$a" pair "$(echo "$card" | tr abc bca)"
check_status 7 "its own card is refused" \
    says "this very site" site "$a" pair "$(site "$a" card)"
site "$tmp/forger" init shreveport >/dev/null
check_status 7 "another key under a known name is refused" \
    says "another key" site "$a" pair "$(site "$tmp/forger" card)"
check "and is not trusted" sh -c \
    'grep -qF "$1" "$0" && [ "$(grep -c "^card" "$0")" -eq 1 ]' \
    "$a/causeway.conf" "$card"
check "the other site trusts this one" \
    site "$b" pair "$(site "$a" card)"

# Configuration
cp "$a/causeway.conf" "$tmp/conf"
printf '\n[sight]\n' >>"$a/causeway.conf"
line=$(wc -l <"$a/causeway.conf")
check_status 2 "an unknown section is refused with file and line" \
    says "causeway.conf:$line:" site "$a" status
cp "$tmp/conf" "$a/causeway.conf"
sed -i 's/^listen/lissen/' "$a/causeway.conf"
check_status 2 "so is an unknown key" says lissen site "$a" status
cp "$tmp/conf" "$a/causeway.conf"
printf '\n[store "all"]\nroot = %s\n[store "keys"]\nroot = %s/keys\n' \
    "$tmp" "$a" >>"$a/causeway.conf"
mkdir "$tmp/untouched"
for store in all keys; do
	check_status 7 "a root in which our keys are is not scanned" \
	    says "holds the keys" site "$a" scan $store
	check_status 7 "nor sealed" says "holds the keys" site "$a" \
	    seed $store --for shreveport --to "$tmp/untouched"
done
cp "$tmp/conf" "$a/causeway.conf"
mkdir "$tmp/apart"
check "--config names a configuration and its state" \
    "$CAUSEWAY" --config "$tmp/apart/c.conf" init apart \
    --state "$tmp/apart/state"
check "which the other commands find" \
    json '.site == "apart"' "$CAUSEWAY" --config "$tmp/apart/c.conf" \
    status --json
check "the keys are in the state" [ -f "$tmp/apart/state/keys/age.key" ]

# Stores
check_status 2 "a store needs a directory" site "$a" store add mail
check_status 1 "that is there" site "$a" store add mail "$tmp/absent"
check_status 2 "and a known format" \
    site "$a" store add mail "$tmp/mail" --format elm
check_status 2 "and a name" site "$a" store add 'ma il' "$tmp/mail"
check_status 7 "the home must not lie in a root" \
    says "keys" site "$a" store add mail "$tmp"
check "none of that declared it" \
    json '.stores == []' site "$a" store list --json
check "store add declares a store" \
    json '.store == "mail" and (.roots | length) == 1 and
	.roots[0].name == "mail"' \
    site "$a" store add mail "$tmp/mail" --exclude '*.bak' --json
check_status 7 "once only" site "$a" store add mail "$tmp/etc"
check_status 7 "one root holds no other" \
    site "$a" store add more "$tmp/mail/new"
check "a store may have several roots" \
    site "$a" store add both etc="$tmp/etc" "$tmp/elsewhere"
check "a relative directory is found" sh -c \
    'cd "$2" && mkdir rel && "$0" --home "$1" store add rel ./rel' \
    "$CAUSEWAY" "$a" "$tmp"
check "and stands in the configuration as an absolute one" \
    grep -qxF "root = $tmp/rel" "$a/causeway.conf"
check_status 2 "an unknown store is named, with those there are" \
    says "mail, both" site "$a" scan male
check "store list knows all" \
    json '[.stores[].name] == ["mail", "both", "rel"]' \
    site "$a" store list --json

touch "$tmp/mail/left-out.bak"
check "scan takes a generation" \
    json '.store == "mail" and .generation == 1 and .added == 5 and
	.changed == 0 and .removed == 0 and .entries == 5 and
	.bytes == 7 and .seconds >= 0' site "$a" scan mail --json
check "a scan without changes takes none" \
    json '.generation == 1 and .added == 0' site "$a" scan mail --json
check_status 6 "another process that holds the home is named" sh -c '
	flock "$1/lock" sh -c "exec \"$0\" --home \"$1\" --json scan mail" |
	    tee "$2"; exit "$(jq "if .error.code == \"busy\" then 6 else 1 end" \
	    "$2")"' "$CAUSEWAY" "$a" "$tmp/busy"
for command in plan log restore rollback drill order; do
	check_status 2 "$command, which is to come, is refused in its words" \
	    says "not in this version" site "$a" "$command" mail
done
check "--quiet leaves out reports, and nothing that was asked for" sh -ec '
	[ -z "$("$0" --home "$1" --quiet scan mail)" ]
	for c in card key status "store list" "seed list" "ls mail"; do
		[ -n "$("$0" --home "$1" --quiet $c)" ]
	done' "$CAUSEWAY" "$a"
check "--version is an object, too, where one is asked for" \
    json '.program == "causeway" and .release' "$CAUSEWAY" --version --json
check "who only looks does not wait for it" \
    flock "$a/lock" "$CAUSEWAY" --home "$a" status
check "status has its members" \
    json '.site == "metairie" and .fingerprint and
	(.stores | length) == 3 and (.stores[0] |
	    .name == "mail" and (.id | test("^[0-9a-f]{32}$")) and
	    .role == "active" and .epoch == 1 and .generation == 1 and
	    has("digest") and .entries == 5 and .bytes == 7 and
	    has("lag_seconds") and has("behind_entries") and
	    has("behind_bytes") and (.peers[0].name == "shreveport") and
	    (.peers[0] | has("connected") and has("acked_generation") and
		has("acked_digest")) and .seeds == [] and .checks == [])' \
    site "$a" status --json
check "status of one store shows that one" \
    json '[.stores[].name] == ["mail"]' site "$a" status mail --json
check "contents that were read give a digest" sh -ec '
	"$0" --home "$1" scan mail --contents
	"$0" --home "$1" status mail --json |
	    jq -e ".stores[0].digest | test(\"^[0-9a-f]{64}$\")"' \
    "$CAUSEWAY" "$a"

# Listing
check "ls lists a directory" \
    json '[.entries[].path] == ["a *[b]\\ #\nc", "link", "new"]' \
    site "$a" ls mail --json
check "ls lists what is below it" \
    json '.entries[0].path == "new/one" and .entries[0].size == 4' \
    site "$a" ls mail:new --json
check "names are quoted for people" \
    says 'a *[b]\\ #\x0ac' site "$a" ls mail
check_status 4 "what is not there is missing" site "$a" ls mail:old
site "$a" ls mail --mtree >"$tmp/mtree"
check "mtree finds nothing wrong" sh -c \
    'mtree -e -p "$0" -f "$1" >"$2" && [ ! -s "$2" ]' \
    "$tmp/mail" "$tmp/mtree" "$tmp/mtree.out"
cp -a "$tmp/mail" "$tmp/changed"
echo two >"$tmp/changed/new/one"
check_status 2 "mtree finds what was changed" \
    mtree -e -p "$tmp/changed" -f "$tmp/mtree"

# What there is nothing of yet
mkdir "$tmp/mirror"
check "a replica is declared that has nothing yet" \
    site "$b" store add mirror "$tmp/mirror" --follow metairie
check_status 4 "it is not told to scan" \
    says "causeway receive" site "$b" ls mirror
check_status 7 "and may not be served" \
    json '.role == "standby" and .why == "standby" and .open == false' \
    site "$b" gate mirror --json
check "a store that nobody follows may, before its first scan" \
    json '.why == "unfollowed"' site "$a" gate rel --json
cp -r "$a" "$tmp/lost"
rm "$tmp/lost/stores/mail/catalog.sqlite"
rm -r "$tmp/lost/stores/rel"
check_status 4 "what had a catalog is not told to begin anew" \
    says "from a backup" site "$tmp/lost" ls mail
check_status 7 "of what is lost nobody knows who serves it" \
    json '.why == "unknown" and .open == false' \
    site "$tmp/lost" gate rel --json

# Seeds that are not begun
mkdir "$tmp/medium"
ln -s "$tmp/mail/new" "$tmp/link"
for dir in "$tmp/mail" "$tmp/mail/new" "$tmp/link" "$tmp/etc"; do
	check_status 7 "a seed is not written into a store" says "lies in" \
	    site "$a" seed mail --for shreveport --to "$tmp/medium" "$dir"
done
check_status 2 "nor for two sites, of which one could not open it" \
    says "--recipient" site "$a" seed mail --for shreveport \
    --for metairie --to "$tmp/medium"
check_status 2 "nor for the site itself" says "this very site" \
    site "$a" seed mail --for metairie --to "$tmp/medium"
check "none of them began" sh -c \
    '[ -z "$(find "$0/mail" "$0/etc" "$0/medium" -name causeway)" ]' "$tmp"

# Listing what was
mkdir "$tmp/mail/kept" "$tmp/mail/busy"
echo 1 >"$tmp/mail/kept/one"
echo 1 >"$tmp/mail/busy/one"
site "$a" scan mail >/dev/null
then=$(site "$a" ls mail --json | jq .generation)
rm "$tmp/mail/busy/one"
site "$a" scan mail >/dev/null
check "--at lists what has not changed since" \
    json ".generation == $then and [.entries[].path] == [\"kept/one\"]" \
    site "$a" ls mail:kept --at "$then" --json
check_status 7 "where something went it is refused, not guessed" \
    json '.error.code == "refused" and has("entries") == false' \
    site "$a" ls mail:busy --at "$then" --json
check_status 7 "so is all that it is part of" \
    says "1 went" site "$a" ls mail --mtree --at "$then"
check_status 7 "what went itself is not said to be missing" \
    site "$a" ls mail:busy/one --at "$then"
check_status 4 "what was not there then, and is not now, is" \
    site "$a" ls mail:never --at "$then"
echo 2 >"$tmp/mail/kept/two"
site "$a" scan mail >/dev/null
check_status 7 "where something came it is refused" \
    says "1 of the entries" site "$a" ls mail:kept --at "$then"
check_status 7 "what came is not said to have been there" \
    site "$a" ls mail:kept/two --at "$then"
check "its neighbour has been" \
    says kept/one site "$a" ls mail:kept/one --at "$then"
rm -r "$tmp/mail/busy"
site "$a" scan mail >/dev/null
mkdir "$tmp/mail/busy"
site "$a" scan mail >/dev/null
check_status 7 "a directory that was made anew is not the one of before" \
    site "$a" ls mail:busy --at "$then"
check_status 7 "nor is a name in it" site "$a" ls mail:busy/one --at "$then"
check_status 7 "a generation that has not been is refused" \
    says "no generation 99 yet" site "$a" ls mail --at 99
check_status 7 "so is a time" says "is a time" site "$a" ls mail --at 2h
check_status 2 "0 is no generation" site "$a" ls mail --at 0
python3 - "$tmp/mail" <<'END'
import os, sys
os.chdir(sys.argv[1])
open(b"odd\xff", "w").close()
open("odd\\xff", "w").close()
for i in range(4):
    os.mkdir("d" * 200)
    os.chdir("d" * 200)
open(b"end\xff", "w").close()
END
site "$a" scan mail >/dev/null
check "a name that is no UTF-8 is told from one that looks like it" \
    json '[.entries[] | select(.path == "odd\\xff") | .path_quoted] ==
	[null, true]' site "$a" ls mail --json
check "long names are not cut" json '[.entries[].path | select(length > 805) |
	endswith("/end\\xff")] == [true]' site "$a" ls mail -r --json
check "nor for people" says '/end\xff' site "$a" ls mail -r
rm -r "$tmp/mail/dddd"*

# Opening
recipient=$(age-keygen -y "$a/keys/age.key")
tar -C "$tmp" -cf "$tmp/tar" mail
zstd -q "$tmp/tar" -o "$tmp/zst"
age -r "$recipient" -o "$tmp/zst.age" "$tmp/zst"
age -r "$recipient" -a -o "$tmp/tar.age" "$tmp/tar"
opens_to() {
	opens_want=$1
	shift
	"$@" >"$tmp/opened" && cmp "$tmp/opened" "$opens_want"
}
check "open decompresses" opens_to "$tmp/tar" site "$a" open "$tmp/zst.age"
check "--raw does not" opens_to "$tmp/zst" site "$a" open --raw "$tmp/zst.age"
check "open takes armor, and what is not zstd as it is" \
    opens_to "$tmp/tar" site "$a" open "$tmp/tar.age"
check "open takes a key file without a home" opens_to "$tmp/tar" \
    "$CAUSEWAY" open --identity "$a/keys/age.key" "$tmp/zst.age"
check_status 5 "another site's key opens nothing" \
    opens_to "$tmp/tar" site "$b" open "$tmp/zst.age"
check "and wrote nothing" [ ! -s "$tmp/opened" ]
head -c 100 /dev/zero >>"$tmp/zst.age"
check_status 4 "what was changed is damaged" site "$a" open "$tmp/zst.age"
check_status 2 "open prints no JSON" site "$a" open --json "$tmp/tar.age"
check_status 1 "a full disk below standard output is no success" \
    sh -c '"$0" --home "$1" card >/dev/full' "$CAUSEWAY" "$a"

# Passphrases
p=$tmp/guarded
check "init --passphrase takes it from the environment" env \
    CAUSEWAY_PASSPHRASE='correct horse' "$CAUSEWAY" --home "$p" init guarded \
    --passphrase
check "the card needs none" site "$p" card
check "key says that they are encrypted" \
    json '.encrypted' site "$p" key --json
age -r "$(site "$p" card --json | jq -r .age_recipient)" -o "$tmp/p.age" \
    "$tmp/tar"
check_status 7 "without it the keys stay closed" \
    site "$p" open "$tmp/p.age"
check_status 7 "a wrong one is refused" env CAUSEWAY_PASSPHRASE=wrong \
    "$CAUSEWAY" --home "$p" open "$tmp/p.age"
check "the right one opens" opens_to "$tmp/tar" env \
    CAUSEWAY_PASSPHRASE='correct horse' "$CAUSEWAY" --home "$p" open \
    "$tmp/p.age"
check "on a terminal it is asked for" sh -c '
	python3 "$1/typed.py" "correct horse" "$0" --home "$2" open \
	    "$3/p.age" >"$3/typed" && grep -q "Passphrase for" "$3/typed" &&
	! grep -q "correct horse" "$3/typed"' \
    "$CAUSEWAY" "$here" "$p" "$tmp"
check "age opens the key file with it" sh -c '
	python3 "$1/typed.py" "correct horse" age -d -o "$3/plain.key" \
	    "$2/keys/age.key" && grep -q ^AGE-SECRET-KEY "$3/plain.key"' \
    sh "$here" "$p" "$tmp"
check "minisign signs with it" sh -c '
	python3 "$1/typed.py" "correct horse" minisign -S \
	    -s "$2/keys/minisign.key" -m "$3/text" &&
	minisign -V -m "$3/text" -p "$2/keys/minisign.pub"' \
    sh "$here" "$p" "$tmp"

# Installed elsewhere than it was configured for
build=$(dirname "$CAUSEWAY")
if [ -f "$build/cmake_install.cmake" ]; then
	export DESTDIR="$tmp/dest"
	check "it is installed below any prefix" \
	    cmake --install "$build" --prefix /opt/cw
	unset DESTDIR
	check "the unit starts the program that is there" sh -c '
		cd "$0" && p=$(sed -n "s/^ExecStart=\([^ ]*\).*/\1/p" \
		    opt/cw/lib/systemd/system/causeway.service) &&
		[ "$p" = /opt/cw/bin/causeway ] && ".$p" --version' "$tmp/dest"
	check "hooks, gate, manual and specifications are there" sh -c '
		cd "$0/opt/cw/share" && [ -x causeway/hooks/dovecot-stop ] &&
		[ -f causeway/units/causeway-gate@.conf ] &&
		[ -f man/man1/causeway.1 ] && [ -f man/man5/causeway.conf.5 ] &&
		[ -f doc/causeway/formats/volume/SPEC.md ] &&
		[ -f doc/causeway/docs/decisions/README.md ]' "$tmp/dest"
fi
finish
