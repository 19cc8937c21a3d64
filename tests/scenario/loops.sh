# Sourced after lib.sh: bare disks made of files, by loop devices, with nothing
# on them (disks.sh has those with a filesystem).
#
#   loops_begin         skips by name where there are none
#   disk NAME SIZE      makes a sparse file of that size and a disk of it; its
#                       device is in $disk then, and in $disk_NAME
#   disk_again NAME     the same file as a disk once more
#   disk_end DEVICE     unmounts, forgets partitions, detaches
#
# Whatever a test leaves is ended with it.

disks=

loops_begin() {
	need losetup partx mkfs.ext4 mkfs.xfs blkid jq
	[ "$(id -u)" -eq 0 ] || skip "loop devices need root"
	[ -e /dev/loop-control ] || skip "there are no loop devices"
	truncate -s 1M "$tmp/try.img"
	disk=$(losetup -f --show "$tmp/try.img" 2>/dev/null) ||
	    skip "there are no loop devices"
	losetup -d "$disk"
	at_exit 'for d in $disks; do disk_end "$d"; done'
}

disk() {
	truncate -s "$2" "$tmp/$1.img"
	disk_again "$1"
}

# As if it were plugged in again.
disk_again() {
	disk=$(losetup -f --show "$tmp/$1.img") || skip "no loop device is free"
	disks="$disks $disk"
	eval "disk_$1=$disk"
}

disk_end() {
	# Somebody else may have the number by now.
	losetup "$1" 2>/dev/null | grep -q "($tmp/" || return 0
	for disk_node in "$1" "$1"p*; do
		[ -b "$disk_node" ] || continue
		swapoff "$disk_node" 2>/dev/null
		while umount "$disk_node" 2>/dev/null; do
			:
		done
	done
	partx -d "$1" 2>/dev/null
	losetup -d "$1" 2>/dev/null
	new_disks=
	for disk_node in $disks; do
		[ "$disk_node" = "$1" ] || new_disks="$new_disks $disk_node"
	done
	disks=$new_disks
}
