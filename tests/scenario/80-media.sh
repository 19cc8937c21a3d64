#!/bin/sh
# Disks: listing them, making media of them, what is refused, mounting by
# label; a disk that is half prepared is made good by preparing it again.
. "$(dirname "$0")/lib.sh"
own_mounts "$@"
. "$here/sites.sh"
. "$here/loops.sh"
need python3
loops_begin

media() {
	"$CAUSEWAY" media "$@"
}
# of DEVICE FILTER: what the list says of a device, by a filter of jq.
of() {
	media list --all --json >"$tmp/list" &&
	    jq -er --arg d "$1" ".devices[] | select(.path == \$d) | $2" \
		"$tmp/list"
}
# says CLAIM WORDS: what the last command said has the words.
says() {
	[ ! -s "$tmp/check.out" ] || cp "$tmp/check.out" "$tmp/said"
	check "$1" grep -q -- "$2" "$tmp/said"
}
refused() {
	claim=$1 words=$2
	shift 2
	check_status 7 "$claim" media prepare "$@"
	says "... and it says: $words" "$words"
}
sum() {
	sync "$1"
	sha256sum <"$1"
}

# ---- an empty disk ----
disk a 64M
a=$disk_a
check "a new disk is listed, empty and free" of "$a" \
    'select(.bus == "loop" and .size == 67108864 and .in_use == false and
	.filesystem == null and .unknown_data == false and .probed)'
check "with the file behind it" of "$a" \
    "select(.backing_file == \"$tmp/a.img\")"
check "the list is for people, too" sh -c '
	"$1" media list | grep "$2 " | grep -q "empty  *free"' sh "$CAUSEWAY" "$a"
check "no home is needed" env -i "$CAUSEWAY" media list
check "a trial writes nothing" media prepare "$a" --label disk-a --dry-run
check "nothing was written" sh -c '! tr -d "\000" <"$1" | grep -q .' sh "$a"
check "ext4 is made" media prepare "$a" --label disk-a
check "as blkid sees it" [ "$(blkid -p -o value -s LABEL -s TYPE \
    "${a}p1" | tr '\n' ' ')" = "disk-a ext4 " ]
check "in a GPT" [ "$(blkid -p -o value -s PTTYPE "$a")" = gpt ]
check "the list has label, UUID and the partition's disk" of "${a}p1" \
    "select(.label == \"disk-a\" and .filesystem == \"ext4\" and
	.parent == \"${a#/dev/}\" and .uuid == \"$(blkid -p -o value -s UUID \
	    "${a}p1")\")"

disk x 320M
x=$disk_x
check "xfs is made" media prepare "$x" --label disk-x --fs xfs
check "as blkid sees it" [ "$(blkid -p -o value -s LABEL -s TYPE \
    "${x}p1" | tr '\n' ' ')" = "disk-x xfs " ]
check "the file behind it makes its disk one that is in use" sh -c '
	"$1" media list --all --json | jq -e "[.devices[].uses[] | select(
	    .kind == \"backing\" and .what == \"$2\")] | length > 0"' \
    sh "$CAUSEWAY" "$x"
if command -v mkfs.exfat >/dev/null; then
	disk e 64M
	check "exfat is made" media prepare "$disk_e" --label disk-e \
	    --fs exfat
	check "as blkid sees it" [ "$(blkid -p -o value -s LABEL -s TYPE \
	    "${disk_e}p1" | tr '\n' ' ')" = "disk-e exfat " ]
	disk_end "$disk_e"
else
	echo "skip: exfat, since mkfs.exfat is not installed"
fi

# ---- mounting ----
check "it is mounted by its label" media mount LABEL=disk-a --json
dir=$(jq -r .directory "$tmp/check.out")
check "without set-uid, devices and programs" sh -c '
	grep " $1 " /proc/self/mounts | grep nosuid | grep nodev |
	    grep -q noexec' sh "$dir"
check "a second time it is where it was" sh -c '
	"$1" media mount "$2" --json | jq -e ".was_mounted"' sh "$CAUSEWAY" "$a"
check "the list shows where" of "${a}p1" "select(.mounts == [\"$dir\"])"
check "and its disk as in use" of "$a" 'select(.in_use and
    .uses[0].kind == "part")'
mkdir -p "$dir/causeway/0123456789abcdef"
printf 'causeway-medium 1\n' >"$dir/causeway/0123456789abcdef/MEDIUM"
check "a seed on it is listed" of "${a}p1" \
    'select(.seeds[0].seed_id == "0123456789abcdef")'
exec 9>"$dir/open"
check_status 6 "while a file is open it is not unmounted" \
    media unmount LABEL=disk-a
exec 9>&-
refused "a mounted disk is refused" "mounted on $dir" \
    "$a" --label new --erase "$a" --yes
refused "... and so is its partition" "name the disk" \
    "${a}p1" --label new --erase "${a}p1" --yes
check "it is unmounted by its label" media unmount LABEL=disk-a
check "its directory is gone" [ ! -e "$dir" ]
check_status 4 "what is not mounted is not unmounted" \
    media unmount LABEL=disk-a
check_status 4 "a label that no disk has is missing" \
    media mount LABEL=no-such-disk
check "seeds on what is not mounted are seen by --look" sh -c '
	"$1" media list --look --json | jq -e "[.devices[] | select(
	    .seeds[0].seed_id == \"0123456789abcdef\")] | length == 1"' \
    sh "$CAUSEWAY"
check "which leaves nothing mounted" sh -c \
    '! grep -qE "^$1(p[0-9]+)? " /proc/mounts' sh "$a"
check "it is mounted read-only elsewhere" media mount \
    "UUID=$(blkid -p -o value -s UUID "${a}p1")" --read-only --at "$tmp/mnt"
check "really" sh -c 'grep " $1 ext4 ro," /proc/self/mounts' sh "$tmp/mnt"
check "and unmounted by the directory" media unmount "$tmp/mnt"
check_status 7 "the system is not unmounted" media unmount /

# Plugged in again where the kernel reads no partition tables.
disk_end "$a"
disk_again a
a=$disk_a
check "a disk whose partitions nobody told of is mounted by its label" \
    media mount LABEL=disk-a
check "and unmounted" media unmount LABEL=disk-a
cp --sparse=always "$tmp/a.img" "$tmp/twin.img"
disk_again twin
check_status 2 "two disks with one label are told apart" \
    media mount LABEL=disk-a
says "... by their names" "${disk_twin}p1"
disk_end "$disk_twin"

# ---- what is refused ----
before=$(sum "$a")
refused "what holds a medium is refused" "ext4 .disk-a" "$a" --label new
says "... and its seeds are told" "Causeway's seeds"
refused "... also when another disk is named" "names $x" \
    "$a" --label new --erase "$x" --yes
refused "... or nobody is there to say yes" "Add --yes" \
    "$a" --label new --erase "$a"
check "what would be lost is said" sh -c '
	"$1" media prepare "$2" --label new --erase "$2" --dry-run --json |
	    jq -e "[.lost[] | select(test(\"ext4 .disk-a\") or
		test(\"seed 0123456789abcdef\"))] | length == 2"' \
    sh "$CAUSEWAY" "$a"
check "nothing of it was changed" [ "$(sum "$a")" = "$before" ]
check_status 2 "a label that ext4 cannot hold is refused" \
    media prepare "$a" --label abcdefghijklmnopq
check_status 2 "... and one that names no directory" \
    media prepare "$a" --label ../x
check_status 2 "a file is no disk" media prepare "$tmp/a.img" --label x
check_status 4 "nor is what is not there" \
    media prepare /dev/no-such-disk --label x

disk s 64M
mkswap "$disk_s" >/dev/null 2>&1
refused "a swap's mark is refused" "swap on $disk_s" "$disk_s" --label s
if swapon "$disk_s" 2>/dev/null; then
	refused "swap in use is, always" "swap" \
	    "$disk_s" --label s --erase "$disk_s" --yes
	check "the list says so" of "$disk_s" \
	    'select(.uses[0].kind == "swap")'
	swapoff "$disk_s"
else
	echo "skip: swap in use, which the kernel refuses here"
fi

# Members of LVM and RAID, of which nothing runs.
python3 - "$tmp" <<'END'
import struct, sys, zlib
def image(name, at, data):
    with open(f'{sys.argv[1]}/{name}.img', 'wb') as f:
        f.truncate(64 << 20)
        f.seek(at)
        f.write(data)
body = struct.pack('<I8s32s', 32, b'LVM2 001', b'a' * 32).ljust(492, b'\0')
crc = 0xf597a6cf
for byte in body:
    crc ^= byte
    for _ in range(8):
        crc = crc >> 1 ^ (0xedb88320 if crc & 1 else 0)
image('lvm', 512, struct.pack('<8sQI', b'LABELONE', 1, crc) + body)
md = bytearray(256)
struct.pack_into('<II', md, 0, 0xa92b4efc, 1)
md[16:32] = b'Z' * 16
struct.pack_into('<Q', md, 144, 8)
total = sum(struct.unpack('<64I', md))
struct.pack_into('<I', md, 216, (total & 0xffffffff) + (total >> 32))
image('md', 4096, md)
END
for member in lvm:LVM2_member md:linux_raid_member; do
	disk_again "${member%:*}"
	refused "a member (${member#*:}) is refused" "${member#*:}" \
	    "$disk" --label m
	check "... taken when it is named twice" \
	    media prepare "$disk" --label m --erase "$disk" --yes
	check "... and no mark of it is left" sh -c '
		! blkid -p "$1" "$1p1" | grep -q "$2"' sh "$disk" "${member#*:}"
	disk_end "$disk"
done

disk u 64M
printf 'the only copy' | dd of="$disk_u" bs=1M seek=40 conv=notrunc 2>"$tmp/dd"
refused "data that nobody knows is refused" "not known" "$disk_u" --label u
disk_end "$disk_u"

losetup -d "$disk_s"
disk=$(losetup -r -f --show "$tmp/s.img") && disks="$disks $disk"
refused "a read-only disk is refused" "read-only" "$disk" --label s \
    --erase "$disk" --yes
disk_end "$disk"

# Another program has it.
python3 -c '
import os, sys, time
os.open(sys.argv[1], os.O_RDWR | os.O_EXCL)
print("held", flush=True)
time.sleep(600)' "$x" >"$tmp/held" &
holder=$!
at_exit "kill $holder 2>/dev/null"
while [ ! -s "$tmp/held" ]; do
	sleep 0.05
done
refused "what a program has for itself is refused" "another program" \
    "$x" --label new --erase "$x" --yes
kill $holder
wait $holder 2>/dev/null

# A store or Causeway's state on it; not mounted by us, but by the operator.
mkdir "$tmp/data"
mount "${x}p1" "$tmp/data"
mkdir "$tmp/data/vmail"
site_init "$tmp/site" metairie >/dev/null &&
    site "$tmp/site" store add mail "$tmp/data/vmail" >/dev/null ||
    fail "a site is made"
check_status 7 "a store's disk is refused" site "$tmp/site" media prepare \
    "$x" --label new --erase "$x" --yes
says "... with the store's name" "the store mail"
check "the list says what it holds" sh -c '
	"$1" --home "$2" media list | grep "$3" | grep -q "the store mail"' \
    sh "$CAUSEWAY" "$tmp/site" "$x"
umount "$tmp/data"
mount "${x}p1" "$tmp/data"
"$CAUSEWAY" --home "$tmp/data/home" init other >/dev/null
check_status 7 "so is that of the state directory" \
    site "$tmp/data/home" media prepare "$x" --label new --erase "$x" --yes
says "... which is named" "state directory"
umount "$tmp/data"

# ---- named twice ----
check "named twice it is erased and made anew" media prepare "$a" \
    --label disk-b --erase "$a" --yes --json
check "what was lost is told" jq -e '.lost | length >= 2' "$tmp/check.out"
check "it has the new label alone" [ "$(blkid -p -o value -s LABEL \
    "${a}p1")" = disk-b ]

# ---- where a command takes a directory ----
store=$tmp/vmail
mkdir -p "$store/cur" "$store/new" "$store/tmp"
echo 'Subject: x' >"$store/new/1.x"
site_init "$tmp/here" here >/dev/null && site_init "$tmp/there" there \
    >/dev/null && site_pair "$tmp/here" "$tmp/there" >/dev/null &&
    site "$tmp/here" store add mail "$store" >/dev/null ||
    fail "two sites are made"
check "a seed is packed to a label" site "$tmp/here" seed mail --for there \
    --to LABEL=disk-b --volume-size 1M
check "the list shows it, with its medium" sh -c '
	"$1" media list --look --json | jq -e "[.devices[] | select(
	    .path == \"$2\").seeds[] | select(
	    .medium == 1 and .media == 1)] | length == 1"' sh "$CAUSEWAY" \
    "${a}p1"
check "verified by its label" site "$tmp/there" verify LABEL=disk-b
mkdir "$tmp/careful"
mount -o ro "${a}p1" "$tmp/careful"
check "verified by its label where it is mounted read-only" \
    site "$tmp/there" verify LABEL=disk-b
check "received so, too" site "$tmp/there" receive LABEL=disk-b --root \
    "$tmp/careful-replica"
check_status 7 "but not consumed" site "$tmp/there" receive LABEL=disk-b \
    --root "$tmp/careful-replica" --consume --yes
umount "$tmp/careful"
check "received by its device" site "$tmp/there" receive "$a" --store two \
    --root "$tmp/replica"
check "a second disk of that label is warned of" sh -c '
	"$1" media prepare "$2" --label disk-b --erase "$2" --dry-run 2>&1 |
	    grep -q "has the label .disk-b. too"' sh "$CAUSEWAY" "$x"
check "and nothing stays mounted" sh -c \
    '! grep -qE "^$1(p[0-9]+)? " /proc/mounts' sh "$a"

# ---- killed ----
if command -v strace >/dev/null && command -v e2fsck >/dev/null &&
    strace -o "$tmp/trace" true 2>/dev/null; then
	# Wiping, the table, the kernel told of it, mkfs begun, mkfs ended,
	# all written.
	for point in pwrite64:1 pwrite64:2 fsync:1 write:3 fsync:2 ioctl:9 \
	    clone:1 wait4:1 fsync:3 fsync:4; do
		strace -o "$tmp/trace" -e trace="?${point%:*}" \
		    -e "inject=?${point%:*}:signal=KILL:when=${point#*:}" \
		    "$CAUSEWAY" media prepare "$a" --label disk-c \
		    --erase "$a" --yes >"$tmp/out" 2>&1
		grep -q 'killed by SIGKILL' "$tmp/trace" || continue
		check "killed at $point, prepared again" media prepare "$a" \
		    --label disk-c --erase "$a" --yes
		check "... it is good" e2fsck -fn "${a}p1"
		check "... with its label" [ "$(blkid -p -o value -s LABEL \
		    "${a}p1")" = disk-c ]
	done
else
	echo "skip: killing prepare, since strace or e2fsck is missing"
fi

# A mkfs that fails is quoted, and nothing passes for a medium.
mkdir "$tmp/small"
mount -t tmpfs -o size=8m causeway-test "$tmp/small" && {
	at_exit "umount -l '$tmp/small'"
	truncate -s 64M "$tmp/small/full.img"
	head -c 6M /dev/zero >"$tmp/small/fill"
	disk=$(losetup -f --show "$tmp/small/full.img")
	at_exit "partx -d $disk 2>/dev/null; losetup -d $disk"
	check_status 1 "a disk that fails while it is written is told" \
	    media prepare "$disk" --label full
	says "... with what to do" "run it again with --erase $disk"
	check "... and is no medium" sh -c '
		! "$1" media mount LABEL=full' sh "$CAUSEWAY"
}
finish
