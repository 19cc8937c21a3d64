#!/bin/sh
# What a sync makes good: lines that break, replicas that are too far behind or
# were changed behind Causeway's back, seeds that lost a volume; and the same
# over ssh.
. "$(dirname "$0")/lib.sh"
. "$here/sites.sh"
. "$here/linked.sh"
need python3 jq mtree rsync sqlite3 cc

a=$tmp/a b=$tmp/b
src=$tmp/store dst=$tmp/replica
mkdir "$dst"
cc -O2 -o "$tmp/mkstore" "$root/tests/tools/mkstore.c" || finish
"$tmp/mkstore" --messages 1500 --profile mixed "$src" >"$tmp/made"
chmod --reference="$src" "$dst"

changes() {
	changes_kind=$1
	shift
	python3 "$here/changes.py" "$changes_kind" "$src" "$@"
}

# sync SITE CLAIM [BYTES]: no more than so many of them, as the site counts
sync() {
	sync_at=$1 sync_claim=$2 sync_most=${3:-}
	check "$sync_claim" site "$sync_at" sync mail --json || return 1
	bytes=$(jq '.bytes_sent + .bytes_received' "$tmp/check.out")
	[ -z "$sync_most" ] || [ "$bytes" -le "$sync_most" ] ||
	    fail "$sync_claim: $bytes bytes, at most $sync_most"
}

# replica DIR TREE: a site that follows; its daemon is at the relay's end
replica() {
	site_init "$1" shreveport >/dev/null || return 1
	site "$a" pair "$(cat "$1.card")" --at "127.0.0.1:$relay_port" &&
	    site "$1" pair "$(cat "$a.card")" &&
	    site "$1" store add mail store="$2" --follow metairie
}

check "a site is made" site_init "$a" metairie
check "its store is declared" site "$a" store add mail "$src"
check "its contents are known" site "$a" scan mail --contents
python3 "$here/relay.py" port >"$b.listen"
relay_start "$(cat "$b.listen")"

# The same transfer, unbroken and broken.
check "a replica is made" replica "$b" "$dst"
daemon_start "$b" || finish
before=$(relay_bytes)
sync "$a" "it follows from nothing" || finish
whole=$(($(relay_bytes) - before))
check "all is the same" same "$a" "$src" "$b" "$dst"
daemon_stop "$b"
site "$a" pair --remove shreveport >/dev/null 2>&1
mv "$b" "$tmp/unbroken" && mv "$dst" "$tmp/unbroken-tree" && mkdir "$dst"
chmod --reference="$src" "$dst"
mv "$a" "$tmp/a-before"
check "another is made, for a site made anew" sh -c '
	rm -f "$1.card" "$2.card"' sh "$a" "$b"
check "the site" site_init "$a" metairie
check "its store" site "$a" store add mail "$src"
check "its contents" site "$a" scan mail --contents
check "the replica" replica "$b" "$dst"
daemon_start "$b" || finish
cuts=$(python3 -c 'import random, sys
rng = random.Random(20)
at = sorted(rng.randrange(int(sys.argv[1])) for _ in range(20))
print(*[max(1, b - a) for a, b in zip([0] + at, at)])' "$whole")
relay cut $cuts >"$tmp/cuts"
connections() {
	relay count | awk '{ print $3 }'
}
before=$(relay_bytes) begun=$(connections) tries=0
until site "$a" sync mail >"$tmp/try.out" 2>&1; do
	tries=$((tries + 1))
	[ $tries -lt 30 ] || break
done
broken=$(($(relay_bytes) - before))
check "a transfer is cut 20 times, and gets there ($tries tries failed)" \
    [ $(($(connections) - begun)) -ge 21 -a $tries -ge 20 -a $tries -lt 30 ]
echo "    unbroken $whole bytes, broken 20 times $broken"
check "with no more than 1.02 times the bytes" \
    [ $((broken * 100)) -le $((whole * 102)) ]
check "and all is the same" same "$a" "$src" "$b" "$dst"

# Deletions that the source has forgotten.
changes delete 1 50
changes move 2 30
changes flags 3 30
check "deletions are scanned" site "$a" scan mail
check "and forgotten at once" sqlite3 "$a/stores/mail/catalog.sqlite" \
    "DELETE FROM tombstone; UPDATE meta SET value=(SELECT value FROM meta
     WHERE key='generation') WHERE key='floor'"
sync "$a" "the replica is compared, and no content sent" 200000
check "all is the same" same "$a" "$src" "$b" "$dst"

# Rows that somebody changed.
daemon_stop "$b"
catalog=$b/stores/mail/catalog.sqlite
names=$(find "$src" -path '*/cur/*' -printf '%f\n' | sort | head -n 3)
i=0
echo "$names" | while IFS= read -r name; do
	i=$((i + 1))
	case $i in
	1) change="UPDATE entry SET mode=511" ;;
	2) change="DELETE FROM entry" ;;
	3) change="UPDATE entry SET digest=randomblob(32)" ;;
	esac
	sqlite3 "$catalog" "$change WHERE name=CAST('$name' AS BLOB)"
done
sqlite3 "$catalog" "UPDATE meta SET value=randomblob(32) WHERE key='sum'"
daemon_start "$b"
changes flags 4 10
sync "$a" "a catalog that was tampered with is mended" 500000
check "all is the same" same "$a" "$src" "$b" "$dst"
sync "$a" "and stays so" 8192

# A seed that lost a volume, and one that is damaged.
c=$tmp/c medium=$tmp/medium lost=$tmp/replica-c
mkdir "$medium" "$lost"
chmod --reference="$src" "$lost"
check "a third site is made" site_init "$c" natchez
check "they trust each other" site_pair "$a" "$c"
check "a seed is made for it" \
    site "$a" seed mail --for natchez --to "$medium" --volume-size 2M
rm "$medium"/causeway/*/000003.tar.zst.age
printf 'damage' | dd of="$(echo "$medium"/causeway/*/000005.tar.zst.age)" \
    bs=1 seek=700000 conv=notrunc status=none
check_status 4 "receive says that something lacks" \
    site "$c" receive "$medium" --store mail --root "$lost"
lacking=$(rsync -anc --delete --out-format='%i %l' "$src/" "$lost/" |
    awk '/^>f/ { s += $2; n++ } END { print s + 0, n + 0 }')
echo "    bytes and files that lack: $lacking"
check "files lack" [ "${lacking% *}" -gt 1000000 ]
daemon_start "$a" || finish
check "it knows where the active site is" \
    site "$c" pair "$(cat "$a.card")" --at "127.0.0.1:$(cat "$a.listen")"
sync "$c" "sync fetches exactly what lacks" \
    $((${lacking% *} * 101 / 100 + ${lacking#* } * 400 + 20000))
echo "    fetched with $bytes bytes"
check "all is the same" same "$a" "$src" "$c" "$lost"

# The same session over a command in ssh's place.
mkdir "$tmp/bin"
cat >"$tmp/bin/ssh" <<END
#!/bin/sh
while [ "\$1" != -- ]; do shift; done
echo "\$2" >>"$tmp/ssh.hosts"
shift 2
PATH=$(dirname "$CAUSEWAY"):\$PATH exec sh -c "\$*"
END
chmod 755 "$tmp/bin/ssh"
check "the active site is told the way by ssh" site "$c" pair \
    "$(cat "$a.card")" --at "ssh://operator@metairie.example$a"
changes day 5 "$tmp" >"$tmp/day"
PATH=$tmp/bin:$PATH
sync "$c" "a sync over ssh, while the daemon there runs" 200000
check "it went that way" grep -qx metairie.example "$tmp/ssh.hosts"
check "all is the same" same "$a" "$src" "$c" "$lost"
daemon_stop "$a"
changes flags 6 10
sync "$c" "a sync over ssh, to a site without a daemon" 20000
check "all is the same" same "$a" "$src" "$c" "$lost"
finish
