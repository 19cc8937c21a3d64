#!/bin/sh
# Any k of n media: five of which one may be lost, six of which two may.  Every
# combination of lost media gives the identical tree.  Of one more than that
# the rest is imported, and a sync fetches the remainder, that content alone.
. "$(dirname "$0")/lib.sh"
. "$here/sites.sh"
. "$here/linked.sh"
need python3 jq mtree rsync split

# Elsewhere each syncfs waits for all that others write.
work=$tmp/work
mkdir "$work"
mount -t tmpfs -o size=256m,mode=700 causeway-test "$work" 2>/dev/null &&
    at_exit "umount -l '$work'"
a=$work/a b=$work/b
src=$work/from/store dst=$work/to/store
mkdir "$work/from" "$work/to"

# Nothing that shrinks, so that bytes on the line can be told from each other:
# 12 mailboxes, a file larger than a volume, links, an empty file.
for user in ada ben cleo; do
	for box in . .Sent .Drafts .Archive; do
		mkdir -p "$src/$user/$box/cur" "$src/$user/$box/new" \
		    "$src/$user/$box/tmp"
		head -c 120000 /dev/urandom |
		    split -b 4000 -a 2 - "$src/$user/$box/cur/17000000.M"
		echo "1 V1 N40" >"$src/$user/$box/dovecot-uidlist"
	done
done
head -c 300000 /dev/urandom >"$src/ada/cur/17000001.Mlarge"
ln "$src/ben/cur/17000000.Maa" "$src/ben/.Archive/cur/17000000.Mlink"
ln -s ../cleo "$src/ben/of-cleo"
: >"$src/cleo/new/17000002.Mempty"
touch -d 2026-01-02T03:04:05.678 "$src"/*/cur/* "$src/ben/.Sent"
python3 "$here/tree.py" list "$src" >"$work/list"

check "a site is made" site_init "$a" metairie
check "another is made" site_init "$b" shreveport
check "they are linked" site_link "$a" "$b"
check "the store is declared" site "$a" store add mail "$src"
mv "$b" "$work/b.new"

# seed NAME MEDIA LOST: onto $work/NAME/1 to $work/NAME/MEDIA
seed() {
	set -- "$1" "$2" "$3" --survive-media "$3" --volume-size 64k --new
	seed_at=$work/$1 seed_to=
	for i in $(seq "$2"); do
		mkdir -p "$seed_at/$i"
		seed_to="$seed_to --to $seed_at/$i"
	done
	shift 3
	site "$a" seed mail --for shreveport $seed_to "$@" --json >"$seed_at.json"
}

# receive NAME MEDIUM...: into a home and a tree made anew
receive() {
	receive_from=$work/$1
	shift
	rm -rf "$b" "$dst"
	cp -a "$work/b.new" "$b"
	mkdir "$dst"
	receive_more "$@"
}
receive_more() {
	receive_dirs=
	for i; do
		receive_dirs="$receive_dirs $receive_from/$i"
	done
	site "$b" receive $receive_dirs --root "$dst" --json \
	    >"$work/receive.json"
}

is_identical() {
	python3 "$here/tree.py" list "$dst" | cmp - "$work/list"
}

# restores CLAIM NAME MEDIUM...
restores() {
	restores_claim=$1
	shift
	receive "$@"
	restores_status=$?
	if [ $restores_status -eq 0 ] && is_identical >/dev/null; then
		good=$((good + 1))
	else
		fail "$restores_claim (status $restores_status)"
		jq -c '{error, wanted, faults}' "$work/receive.json" |
		    cut -c 1-600
	fi
	[ "$(jq .rebuilt "$work/receive.json")" -gt 0 ] ||
	    fail "$restores_claim, and something was rebuilt"
}

# but N...: the media of those that are there but these
but() {
	for i in $media; do
		case " $* " in
		*" $i "*) ;;
		*) printf '%s ' "$i" ;;
		esac
	done
}

check "a seed for five media, of which one may be lost" seed five 5 1
check "it has shards on every medium" sh -c '
	for i in 1 2 3 4 5; do ls "$1/$i"/causeway/*/*.rs || exit 1; done' \
    sh "$work/five"
media="1 2 3 4 5" good=0
for x in $media; do
	restores "all but medium $x of five" five $(but $x)
done
check "without any one of five media the tree is the same" [ $good -eq 5 ]

check "a seed for six media, of which two may be lost" seed six 6 2
media="1 2 3 4 5 6" good=0
for x in $media; do
	restores "all but medium $x of six" six $(but $x)
	for y in $media; do
		[ "$x" -lt "$y" ] || continue
		restores "all but $x and $y of six" six $(but $x $y)
	done
done
check "without any one or two of six media the tree is the same" \
    [ $good -eq 21 ]

# One more than that.
check_status 4 "two media of five are too many to lose" receive five 1 3 4
check "it says so, and which to bring" \
    jq -e '.error.code == "missing" and .missing_media == [2, 5] and
	(.error.message | contains("bring media 2 and 5"))' \
    "$work/receive.json"
rsync -anc --out-format='%i %l %n' "$src/" "$dst/" | grep '^>f' |
    cut -d ' ' -f 2- >"$work/lacking"
lacking=$(awk '{ sum += $1 } END { print sum + 0 }' "$work/lacking")
files=$(wc -l <"$work/lacking")
boxes=$(cut -d ' ' -f 2- "$work/lacking" | sed 's,/[^/]*$,,; s,/cur$,,; s,/new$,,' |
    sort -u | wc -l)
echo "    lacking: $files files in $boxes mailboxes, $lacking bytes"
check "some of it lacks, and not all" \
    [ "$lacking" -gt 200000 -a "$lacking" -lt 1300000 ]
check "what lacks is counted, in files and mailboxes" \
    jq -e ".wanted == $files and .wanted_mailboxes == $boxes" \
    "$work/receive.json"
cp -a "$b" "$work/b.part"
cp -a "$dst" "$work/part"

daemon_start "$b" || finish
before=$(relay_bytes)
check "a sync brings it" site "$a" sync mail --json
bytes=$(($(relay_bytes) - before))
echo "    over the line: $bytes bytes"
check "that content alone" [ "$bytes" -le \
    $((lacking * 101 / 100 + files * 400 + 20000)) -a \
    "$bytes" -ge "$lacking" ]
check "all is the same" same "$a" "$src" "$b" "$dst"
check "and the tree is identical" is_identical
daemon_stop "$b"

# Media that come one after another: what comes later is taken, and when all
# that are left are there together, parity does the rest.
rm -rf "$b" "$dst"
mv "$work/b.part" "$b" && mv "$work/part" "$dst"
check_status 4 "a fourth medium comes by itself" receive_more 5
check "the fifth is asked for, or all others at once" \
    jq -e '.missing_media == [2] and
	(.error.message | contains("all other media in one command"))' \
    "$work/receive.json"
check "all others at once will do" receive_more 1 3 4 5
check "and the tree is identical" is_identical
check "a medium that comes late changes nothing" receive_more 2
check "it was imported before" jq -e .repeated "$work/receive.json"
finish
