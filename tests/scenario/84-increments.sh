#!/bin/sh
# Increments on media: for days the line is dead, and what changed travels on a
# stick.  Received in their order, the replica is what the store was; in another
# order they are refused; twice they are harmless; killed, they are gone on
# with.  What only moved is not in them, and a sync has nothing to add.
#
#   --full    is killed at many more points
. "$(dirname "$0")/lib.sh"
. "$here/sites.sh"
. "$here/linked.sh"
need cc python3 jq mtree rsync setfacl setfattr
[ "$(id -u)" -eq 0 ] || skip "owners and modes can only be restored by root"
points=4
[ "${1:-}" != --full ] || points=100

a=$tmp/a b=$tmp/b
dst=$tmp/replica
mkdir "$dst" "$dst/mail" "$dst/conf"
. "$here/changing.sh"
cc -O2 -o "$tmp/stopat" "$root/tests/tools/stopat.c" 2>"$tmp/cc" ||
    skip "tests/tools/stopat.c does not build"
"$tmp/stopat" true
[ $? -eq 77 ] && skip "the kernel has no seccomp notifications"

# seed MEDIUM ARGUMENT...: packs onto a new medium
seed() {
	seed_medium=$1
	shift
	mkdir -p "$seed_medium"
	site "$a" seed mail --for shreveport --to "$seed_medium" --json "$@" \
	    >"$seed_medium.json"
}

# keep N: the store as it is now, under that number
keep() {
	cp -a "$src" "$tmp/kept.$1"
	site "$a" ls mail --mtree >"$tmp/mtree.$1"
	status_of "$a" digest >"$tmp/digest.$1"
	status_of "$a" generation >"$tmp/generation.$1"
}

# is N: the replica is the store as it was then
is() {
	[ "$(status_of "$b" digest)" = "$(cat "$tmp/digest.$1")" ] ||
	    { echo "digest: $(status_of "$b" digest)"; return 1; }
	[ "$(status_of "$b" generation)" = "$(cat "$tmp/generation.$1")" ] ||
	    { echo "generation: $(status_of "$b" generation)"; return 1; }
	mtree -p "$dst" -f "$tmp/mtree.$1" || return 1
	site "$b" ls mail --mtree | sort >"$tmp/is.mtree"
	sort "$tmp/mtree.$1" | diff - "$tmp/is.mtree" || return 1
	rsync -anicHAXO --delete "$tmp/kept.$1/" "$dst/" >"$tmp/is.rsync" 2>&1
	[ ! -s "$tmp/is.rsync" ] || { head "$tmp/is.rsync"; return 1; }
}

bytes_on() {
	du -sb "$1" | cut -f 1
}

check "the first site is made" site_init "$a" metairie
check "the second site is made" site_init "$b" shreveport
check "two are linked" site_link "$a" "$b"
check "the store is declared" \
    site "$a" store add mail mail="$src/mail" conf="$src/conf"
sed -i '/^root = conf/a every = 1h' "$a/causeway.conf"
cp -a "$b" "$tmp/nobody"

# ---- the full seed ----

noise 1 5000000 >"$m/cur/1125288600.M1P1.big,S=5000000:2,S"
noise 2 400000 >"$f/large"
check "a full seed is packed" seed "$tmp/full" --volume-size 1M
keep 0
check "and received" site "$b" receive "$tmp/full" --json \
    --root mail="$dst/mail" --root conf="$dst/conf"
receipt=$(jq -r .receipt "$tmp/check.out")
check "    and all is the same" is 0
g0=$(jq .generation "$tmp/full.json")

check_status 7 "a base that has not been is refused" \
    seed "$tmp/never" --since 4711
check_status 2 "nothing is no base" seed "$tmp/never" --since 0
check_status 7 "what nobody has acknowledged is no base" \
    seed "$tmp/never" --since-acked
check "and says what to do" grep -q -e --since "$tmp/never.json"

# ---- days without a line ----

changes flags 1 40
changes deliver 2 20
changes move 3 15
changes delete 4 10
mv "$m/cur/1125288600.M1P1.big,S=5000000:2,S" \
    "$m/.Sent Messages/cur/1125288600.M1P1.big,S=5000000:2,RS"
cp -p "$m/.Sent Messages/cur/1125288600.M1P1.big,S=5000000:2,RS" \
    "$n/new/1125288601.M1P1.copy,S=5000000"
ln "$f/large" "$f/links/large too"
mkdir -p "$m/.New/cur" "$m/.New/new" "$m/.New/tmp"
noise 3 700000 >"$m/.New/cur/1125300000.M1P1.cut,S=700000:2,"
noise 4 50000 >"$m/.New/cur/1125300001.M1P1.twin,S=50000:2,"
cp "$m/.New/cur/1125300001.M1P1.twin,S=50000:2," \
    "$n/new/1125300002.M1P1.twin,S=50000"
ln "$m/.New/cur/1125300001.M1P1.twin,S=50000:2," "$f/links/new twin"
rm -r "$n/.Sent Messages"
mkdir "$f/was a file"
echo 1 >"$f/was a dir"
echo "more" >>"$f/large"
chmod 640 "$f/large"
setfattr -n user.storm -v katrina "$f/large"
ln -s "no such place" "$f/dangling"
truncate -s 3000000 "$f/sparse new"
echo end >>"$f/sparse new"
check "the receipt of the full seed is typed in" \
    site "$a" seed confirm "$receipt"
check "an increment is packed on what it says" \
    seed "$tmp/one" --since-acked --volume-size 256k
g1=$(jq .generation "$tmp/one.json")
keep 1
check "it builds on the full seed" [ "$(jq .base_generation \
    "$tmp/one.json")" -eq "$g0" ]
check "a moved message is not in it: $(bytes_on "$tmp/one") bytes" \
    [ "$(bytes_on "$tmp/one")" -lt 3500000 ]
check "anyone can verify it" site "$b" verify "$tmp/one"

# More of it: what was new moves on, and what was made goes.
changes flags 5 40
changes deliver 6 20
changes move 7 15
changes delete 8 10
mv "$m"/.New/cur/1125300000.M1P1.cut* "$m/cur/"
rm -r "$m/.New"
rm "$f/was a dir"
mkdir "$f/was a dir"
rmdir "$f/was a file"
echo 2 >"$f/was a file"
mkdir -p "$n/.Sent Messages/cur" "$n/.Sent Messages/new" \
    "$n/.Sent Messages/tmp"
echo "after the storm" >"$n/.Sent Messages/cur/1125300003.M1P1.host:2,S"
mkdir "$tmp/two"
"$tmp/stopat" --path .tar.zst.age --kill 3 "$CAUSEWAY" --home "$a" seed mail \
    --for shreveport --to "$tmp/two" --since "$g1" >/dev/null 2>&1
check "a second one is killed while it is packed" [ $? -eq 137 ]
check_status 7 "    and is not gone on with as a full seed" \
    seed "$tmp/two"
check_status 7 "    nor on another generation" seed "$tmp/two" --since "$g0"
check "    but as what it is" seed "$tmp/two" --since "$g1"
check "    once" [ "$(find "$tmp/two/causeway" -name MANIFEST.minisig |
    wc -l)" -eq 2 ]
g2=$(jq .generation "$tmp/two.json")
keep 2
check "what moved since the first is not in it: $(bytes_on "$tmp/two")" \
    [ "$(bytes_on "$tmp/two")" -lt 700000 ]
changes flags 9 10
check "a third one, of flags alone" seed "$tmp/three" --since "$g2"
keep 3
check "needs no volume" [ "$(jq .volumes "$tmp/three.json")" -eq 0 ]
check "and can be verified" site "$b" verify "$tmp/three"

# ---- the other site ----

check_status 7 "the second one first is refused" \
    site "$b" receive "$tmp/two"
cp "$tmp/check.out" "$tmp/said"
check "    and says what is between" \
    grep -q "generation $g1,.*generation $(cat "$tmp/generation.0"):" "$tmp/said"
check "    and nothing changed" is 0
check_status 7 "a site without the replica refuses it" \
    site "$tmp/nobody" receive "$tmp/one"
check_status 2 "it goes where the replica is" \
    site "$b" receive "$tmp/one" --root mail="$dst/mail"
cp -a "$b" "$tmp/b.before"
cp -a "$dst" "$tmp/dst.before"

# hurt MEDIUM: a copy of it, MEDIUM.hurt, with a bad block in its second volume
hurt() {
	cp -a "$1" "$1.hurt"
	python3 - "$1.hurt" <<'END'
import glob, os, sys
volume = sorted(glob.glob(sys.argv[1] + "/causeway/*/0*.tar.zst.age"))[1]
with open(volume, "r+b") as f:
    f.seek(os.path.getsize(volume) // 2)
    f.write(bytes(4096))
END
}

# fresh: as it was before the first increment
fresh() {
	rm -rf "$b" "$dst"
	cp -a "$tmp/b.before" "$b"
	cp -a "$tmp/dst.before" "$dst"
}

hurt "$tmp/one"
check "what is damaged is rebuilt from parity" \
    site "$b" receive "$tmp/one.hurt"
check "    and all is as it was then" is 1
fresh
check "the first is received" "$tmp/stopat" --log "$tmp/calls" \
    "$CAUSEWAY" --home "$b" receive "$tmp/one"
check "    and all is as it was then" is 1
check "twice is harmless" site "$b" receive "$tmp/one"
check "    and nothing changed" is 1
check "the second is received" site "$b" receive "$tmp/two"
check "    and all is as it was then" is 2
check "the first once more is harmless" site "$b" receive "$tmp/one"
check "    and nothing changed" is 2
check "the one of flags is received" site "$b" receive "$tmp/three"
check "    and all is as it was then" is 3
check "    no file is wanted" sh -c '"$1" --home "$2" --json receive "$3" |
    jq -e ".wanted == 0 and .repeated"' sh "$CAUSEWAY" "$b" "$tmp/three"

# ---- the line is back ----

daemon_start "$b"
before=$(relay_bytes)
check "a sync has nothing to do" sh -c '
	"$1" --home "$2" --json sync mail >"$3" && jq -e ".entries == 0" "$3"' \
    sh "$CAUSEWAY" "$a" "$tmp/sync.json"
check "    and sends next to nothing: $(($(relay_bytes) - before)) bytes" \
    [ $(($(relay_bytes) - before)) -lt 10000 ]
check "    and all is the same" same "$a" "$src" "$b" "$dst"
daemon_stop "$b"
rm -f "$b.pid"

# What it acknowledged is a base.  One volume of the next is damaged.
changes deliver 10 30
noise 5 600000 >"$m/cur/1125300010.M1P1.hurt,S=600000:2,"
noise 6 600000 >"$m/cur/1125300011.M1P1.whole,S=600000:2,"
check "an increment on what was acknowledged" \
    seed "$tmp/four" --since-acked --volume-size 256k --parity none
keep 4
check "    is one on the last generation" [ "$(jq .base_generation \
    "$tmp/four.json")" -ge "$g2" ]
hurt "$tmp/four"
cp -a "$b" "$tmp/b.acked"
cp -a "$dst" "$tmp/dst.acked"
check_status 4 "one that is damaged is received in part" \
    site "$b" receive "$tmp/four.hurt"
cp "$tmp/check.out" "$tmp/said"
check "    and says how to go on" grep -q "files have not arrived" "$tmp/said"
check "    the catalog is whole" \
    [ "$(status_of "$b" digest)" = "$(cat "$tmp/digest.4")" ]
rsync -anic --ignore-existing "$tmp/kept.4/" "$dst/" |
    grep '^>f' >"$tmp/lacking"
check "    some files lack" [ -s "$tmp/lacking" ]
check "    not many" [ "$(wc -l <"$tmp/lacking")" -le 20 ]
check "a whole copy brings the rest" site "$b" receive "$tmp/four"
check "    and all is as it was then" is 4
rm -rf "$b" "$dst"
cp -a "$tmp/b.acked" "$b"
cp -a "$tmp/dst.acked" "$dst"
check_status 4 "once more in part" site "$b" receive "$tmp/four.hurt"
daemon_start "$b"
before=$(relay_bytes)
check "a sync fetches what lacks" site "$a" sync mail
lacking=$(cd "$tmp/kept.4" && cut -c 13- "$tmp/lacking" |
    tr '\n' '\0' | du -bc --files0-from=- | tail -n 1 | cut -f 1)
check "    that alone: $(($(relay_bytes) - before)) bytes for $lacking" \
    [ $(($(relay_bytes) - before)) -lt $((lacking + 30000)) ]
check "    and all is the same" same "$a" "$src" "$b" "$dst"
daemon_stop "$b"

# ---- killed ----

killed=0 wrong=0
for point in $(awk -v want=$points 'END {
	for (i = 0; i < want; i++)
		print int(2 + (NR - 3) * i / (want - 1)) }' "$tmp/calls"); do
	fresh
	"$tmp/stopat" --kill "$point" "$CAUSEWAY" --home "$b" \
	    receive "$tmp/one" >/dev/null 2>&1
	[ $? -eq 137 ] && killed=$((killed + 1))
	if ! site "$b" receive "$tmp/one" >"$tmp/again" 2>&1 ||
	    ! is 1 >>"$tmp/again" 2>&1; then
		wrong=$((wrong + 1))
		echo "    killed at call $point:"
		head -n 5 "$tmp/again" | sed 's/^/        /'
	fi
done
check "receive is killed $killed times" [ $killed -ge $((points - 1)) ]
check "    and each time made good" [ $wrong -eq 0 ]
# Or by the line, if that is back meanwhile.
fresh
"$tmp/stopat" --kill $(($(wc -l <"$tmp/calls") / 3)) "$CAUSEWAY" --home "$b" \
    receive "$tmp/one" >/dev/null 2>&1
daemon_start "$b"
check "one that was killed is gone on with by a sync" site "$a" sync mail
check "    and all is the same" same "$a" "$src" "$b" "$dst"
finish
