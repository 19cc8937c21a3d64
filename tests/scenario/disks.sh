# Sourced after lib.sh: disks, as files under loop devices with a filesystem.
#
#   need_disks                   skips by name where there are no loop devices
#   disk NAME SIZE [FSTYPE]      makes one (ext4 unless given), mounts it on
#                                $tmp/NAME
#   disk_off NAME                unmounts it; disk_on NAME mounts it again
#   disk_device NAME             prints its device
#   disk_label NAME              prints its label, which no other scenario has

disks=

need_disks() {
	[ "$(id -u)" -eq 0 ] || skip "disks need root"
	need losetup mkfs.ext4 mkfs.xfs mount umount
	disk_probe=$(losetup -f 2>/dev/null) && [ -n "$disk_probe" ] ||
	    skip "there are no loop devices"
	at_exit disks_gone
}

disks_gone() {
	for disk_name in $disks; do
		umount -l "$tmp/$disk_name" 2>/dev/null
		losetup -d "$(cat "$tmp/$disk_name.dev")" 2>/dev/null
	done
}

disk_device() {
	cat "$tmp/$1.dev"
}

# A scenario beside this one that looks at all disks may have this one open for
# a moment: then it is not yet off, and on it would be the pulled one again.
disk_on() {
	for disk_try in $(seq 3000); do
		mount "$(disk_device "$1")" "$tmp/$1" &&
		    touch "$tmp/$1/.on" 2>/dev/null && rm "$tmp/$1/.on" &&
		    return 0
		umount "$tmp/$1"
		sleep 0.02
	done
	fail "disk $1 is on again"
	exit 1
}

disk_off() {
	for disk_try in $(seq 3000); do
		umount "$tmp/$1" 2>/dev/null
		grep -q " $tmp/$1 " /proc/self/mounts || return 0
		sleep 0.02
	done
	fail "disk $1 is off"
	exit 1
}

# At most 12 bytes, or xfs cannot hold it.
disk_label() {
	echo "$1$$"
}

disk() {
	mkdir -p "$tmp/$1" && truncate -s "$2" "$tmp/$1.img" || return 1
	case ${3:-ext4} in
	xfs) mkfs.xfs -q -L "$(disk_label "$1")" "$tmp/$1.img" ;;
	*) mkfs.ext4 -q -F -m 0 -L "$(disk_label "$1")" \
	    -E lazy_itable_init=0 "$tmp/$1.img" ;;
	esac >/dev/null 2>&1 || return 1
	losetup -f --show "$tmp/$1.img" >"$tmp/$1.dev" 2>/dev/null ||
	    skip "no loop device is free"
	disks="$disks $1"
	disk_on "$1"
}
