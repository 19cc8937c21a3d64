#!/bin/sh
# Three disks with GPT, of different sizes and filesystems, on their way: one is
# filled to its end, they arrive in another order, one comes late, one has bad
# ranges, one ends in the middle of its device.
. "$(dirname "$0")/lib.sh"
own_mounts "$@"
. "$here/sites.sh"
. "$here/loops.sh"
loops_begin
need python3 split
a=$tmp/a b=$tmp/b store=$tmp/vmail
mkdir -p "$store/files" "$tmp/north" "$tmp/east" "$tmp/south"
head -c 80000000 /dev/urandom | split -b 300000 -a 4 - "$store/files/f"
site_init "$a" metairie >/dev/null && site_init "$b" shreveport >/dev/null &&
    site_pair "$a" "$b" >/dev/null || fail "two sites trust each other"
check "the store is declared" site "$a" store add mail "$store"

# on NAME [OPTION]: plugged in and mounted by its label; off NAME: taken out
on() {
	disk_again "$1" && losetup --direct-io=on "$disk" 2>/dev/null
	"$CAUSEWAY" media mount "LABEL=truck-$1" --at "$tmp/$1" ${2:+"$2"}
}
off() {
	"$CAUSEWAY" media unmount "LABEL=truck-$1" || return 1
	eval "disk_end \$disk_$1"
}

# ---- packed at the active site

disk north 40M && disk east 56M && disk south 320M
check "an ext4 disk" "$CAUSEWAY" media prepare "$disk_north" --label truck-north
check "a bigger one" "$CAUSEWAY" media prepare "$disk_east" --label truck-east
check "an xfs one" "$CAUSEWAY" media prepare "$disk_south" --label truck-south \
    --fs xfs
for name in north east south; do
	check "it is mounted" "$CAUSEWAY" media mount "LABEL=truck-$name" \
	    --at "$tmp/$name"
done
check "a seed spans them" site "$a" --json seed mail --for shreveport \
    --to "$tmp/north" --to "$tmp/east" --to "$tmp/south" --volume-size 1M
cp "$tmp/check.out" "$tmp/seed.json"
id=$(jq -r .seed_id "$tmp/seed.json")
check "each holds a part of it" sh -c 'for d in north east south; do
	ls "$1/$d/causeway/$2"/0*.tar.zst.age >/dev/null || exit 1
    done' sh "$tmp" "$id"
check "the smallest is filled to its end" sh -c \
    '[ "$(df --output=avail -B 1M "$1/north" | tail -n 1)" -lt 4 ]' sh "$tmp"
for name in north east south; do
	check "it is taken out" off "$name"
done

# ---- on the truck

cp --sparse=always "$tmp/north.img" "$tmp/north.whole"
check "east is plugged in" on east
python3 - "$tmp/east/causeway/$id" <<'PY'
import glob, os, sys
# A burst over two blocks of one volume, and a sector of another.
names = sorted(glob.glob(sys.argv[1] + "/0*.tar.zst.age"))
for name, offset, length in (names[0], 200000, 100000), (names[3], 4096, 512):
    fd = os.open(name, os.O_WRONLY)
    os.pwrite(fd, os.urandom(length), offset)
    os.fsync(fd)
    os.close(fd)
PY
check "and has bad ranges when it is out again" off east

# ---- at the recovery site, the last disk first

check "south arrives" on south --read-only
check "east arrives" on east
check_status 4 "without north something is missing" site "$b" --json verify \
    LABEL=truck-south LABEL=truck-east
check "which is told medium by medium" jq -e '.missing | length > 0' \
    "$tmp/check.out"
check_status 3 "what is bad on east can be repaired" sh -c '
	"$1" --home "$2" verify LABEL=truck-east --json >"$3"
	jq -e "[.damaged[] | select(.repairable)] | length == 2" "$3" \
	    >/dev/null && exit 3' sh "$CAUSEWAY" "$b" "$tmp/verify.json"
check_status 4 "both are imported, and rebuilt on the way" \
    site "$b" --json receive LABEL=truck-south LABEL=truck-east \
    --root "$tmp/replica"
wanted=$(jq .wanted "$tmp/check.out")
check "what north holds is wanted" [ "$wanted" -gt 50 ]
site "$b" repair LABEL=truck-east >"$tmp/repair.out" 2>&1
check "east is mended in place" sh -c '! "$1" --home "$2" verify \
    LABEL=truck-east --json | jq -e ".damaged | length > 0"' \
    sh "$CAUSEWAY" "$b"

# North is pulled out while it is read: its device ends in the middle.
check "north arrives" on north --read-only
truncate -s 24M "$tmp/north.img"
check "the manifest may lie there, too: the active site sends it" site "$a" seed manifest "$id" \
    --to "$tmp/manifest"
site "$b" --json receive "$tmp/north" --manifest "$tmp/manifest" --root "$tmp/replica" \
    >"$tmp/receive.json" 2>"$tmp/receive.err"
check "what can be read of north is imported, the rest awaited" [ "$?" -eq 4 ]
less=$(jq .wanted "$tmp/receive.json")
check "so less is wanted ($wanted, then $less)" [ "$less" -lt "$wanted" ]
check "but not nothing" [ "$less" -gt 0 ]
check "north is taken out" disk_end "$disk_north"
mv "$tmp/north.whole" "$tmp/north.img"
check "north, whole again, arrives" on north --read-only
check "and completes it" site "$b" receive LABEL=truck-north \
    --root "$tmp/replica"
check "all is there" diff -r "$store" "$tmp/replica"
check "all three verify" site "$b" verify LABEL=truck-south LABEL=truck-north \
    LABEL=truck-east
finish
