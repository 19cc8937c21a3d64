#!/bin/sh
# A medium passes the gate only after it was unmounted and mounted again since
# it was written: then what is read comes from the device.  With real block
# devices, of filesystems that tell how they were mounted in different ways.
. "$(dirname "$0")/lib.sh"
own_mounts "$@"
. "$here/sites.sh"
need jq losetup blkid mkfs.ext4 mkfs.xfs python3 split
[ "$(id -u)" -eq 0 ] || skip "only root can mount"

a=$tmp/a b=$tmp/b store=$tmp/vmail
mkdir -p "$store/files"
head -c 3000000 /dev/urandom | split -b 30000 - "$store/files/f"
at_exit 'umount "$tmp"/m.* 2>/dev/null; for l in $loops; do
    losetup -d "$l"; done'
loops=

# disk NAME SIZE MKFS...: a device with a filesystem, mounted on $tmp/m.NAME
disk() {
	disk_name=$1
	truncate -s "$2" "$tmp/$1.img"
	shift 2
	"$@" "$tmp/$disk_name.img" >/dev/null 2>&1 || return 1
	disk_loop=$(losetup -f --show "$tmp/$disk_name.img" 2>/dev/null) ||
	    skip "no loop devices"
	loops="$loops $disk_loop"
	eval "loop_$disk_name=$disk_loop"
	mkdir "$tmp/m.$disk_name"
	mount "$disk_loop" "$tmp/m.$disk_name" 2>/dev/null
}
# Whether nobody has it mounted: a scenario beside this one that looks at all
# disks may, for a moment, and then the next mount is not a new one.
is_free() {
	python3 -c 'import os, sys
os.close(os.open(sys.argv[1], os.O_RDONLY | os.O_EXCL))' "$1"
}
remount() {
	eval "remount_loop=\$loop_$1"
	umount "$tmp/m.$1" && await "$1 is off" is_free "$remount_loop" &&
	    mount "$remount_loop" "$tmp/m.$1"
}
disk ext4 40M mkfs.ext4 -q -L CW-EXT4 || skip "ext4 cannot be mounted"
disk xfs 320M mkfs.xfs -q -L CW-XFS || skip "xfs cannot be mounted"

site_init "$a" metairie >/dev/null && site_init "$b" shreveport >/dev/null &&
    site_pair "$a" "$b" >/dev/null || fail "two sites trust each other"
check "a store is declared" site "$a" store add mail "$store"
close() {
	"$CAUSEWAY" --home "$a" --json seed close "$@" >"$tmp/json"
}
# ready of medium N
ready() {
	jq -e ".media[] | select(.medium == $1).ready" "$tmp/json"
}
why() {
	jq -r ".media[] | select(.medium == $1).reasons[]" "$tmp/json"
}

check "the store is sealed on ext4 and xfs" site "$a" seed mail \
    --for shreveport --to "$tmp/m.ext4" --to "$tmp/m.xfs" --volume-size 256k
id=$(basename "$(echo "$a"/seeds/????????????????)")
check_status 7 "neither passes as it was written" \
    close "$tmp/m.ext4" "$tmp/m.xfs"
check "since neither was mounted anew" [ "$(jq -r '.media[].reasons[]' \
    "$tmp/json" | grep -c 'not unmounted and mounted again')" = 2 ]
# The same filesystem in another place is not mounted anew.
mkdir "$tmp/m.bound"
mount --bind "$tmp/m.ext4" "$tmp/m.bound"
check_status 7 "a bind mount is none" close "$tmp/m.bound"
umount "$tmp/m.bound"
mount "$loop_ext4" "$tmp/m.bound" 2>/dev/null
check_status 7 "nor is mounting it twice" close "$tmp/m.bound"
umount "$tmp/m.bound"

check "ext4 is unmounted and mounted" remount ext4
check_status 7 "it passes, xfs does not" close "$tmp/m.ext4" "$tmp/m.xfs"
check "ext4 is ready" ready 1
check_status 1 "xfs is not" ready 2
check "xfs is unmounted and mounted" remount xfs
check "by the id alone the seed passes now" close "$id"
check "both media are ready" jq -e '.ready' "$tmp/json"
check "the slip has the filesystem's own label" sh -c '
	"$1" --home "$2" seed slip "$3" --medium 1 |
	    grep -q "Label       CW-EXT4"' sh "$CAUSEWAY" "$a" "$id"
check "and its UUID" sh -c '
	"$1" --home "$2" seed slip "$3" --medium 2 |
	    grep -q "Filesystem  $(blkid -p -s UUID -o value "$4")"' sh \
    "$CAUSEWAY" "$a" "$id" "$loop_xfs"

if command -v mkfs.vfat >/dev/null && disk vfat 40M mkfs.vfat -n CWFAT; then
	check "a seed on vfat" site "$a" seed mail --for shreveport \
	    --to "$tmp/m.vfat" --volume-size 256k --new
	check_status 7 "does not pass as it was written" close "$tmp/m.vfat"
	check "it is unmounted and mounted" remount vfat
	# Only from Linux 6.8 on does the kernel tell the two mounts apart.
	if close "$tmp/m.vfat"; then
		check "it passes" ready 1
	else
		check "the system cannot tell, and that is said" sh -c '
			echo "$1" | grep -q "does not tell"' sh "$(why 1)"
		check "the operator can" close "$tmp/m.vfat" --no-remount
	fi
else
	echo "skip: mkfs.vfat is not installed, or vfat cannot be mounted"
fi

# A disk without power since then: what is read is what the device has.
check "a medium that lost bytes below the filesystem" sh -c '
	umount "$1" && python3 - "$2" <<"END"
import sys
image = sys.argv[1]
data = open(image, "rb").read()
magic = b"age-encryption.org/v1"
with open(image, "r+b") as file:
    at = data.find(magic)
    while at >= 0:  # files that were removed have left theirs, too
        file.seek(at + 300)
        file.write(b"lost")
        at = data.find(magic, at + 1)
END
	mount "$3" "$1"' sh "$tmp/m.ext4" "$tmp/ext4.img" "$loop_ext4"
check_status 7 "does not pass again" close "$id"
check "since it is damaged" sh -c 'echo "$1" | grep -q "it is damaged"' sh \
    "$(why 1)"
finish
