#!/bin/sh
# A seed on three media, with parity on each or such that one may be lost, is
# stopped by SIGKILL anywhere, or a disk fails: run again, the same comes of it.
# No volume that was finished is written again, every volume is in a group and
# every shard is right byte for byte.
. "$(dirname "$0")/../scenario/lib.sh"
. "$root/tests/scenario/sites.sh"
. "$root/tests/crash/crash.sh"
. "$root/tests/crash/media.sh"
crash_begin
crash_volume=64k

for options in "--parity 2+1" "--survive-media 1"; do
	# shellcheck disable=SC2086 # options are words
	media_begin "$options" $options
	seed_count
	check "no block digests are left over" \
	    sh -c '! ls -d "$0"/a/seeds/*/blocks' "$work"
	echo "$options: $(wc -l <"$log") calls"
	for n in $(spread_kinds "$log" 28); do
		seed_point "$n"
	done
	crash_report "seed $options is killed" 50
	for error in ENOSPC EIO; do
		seed_fails $error "$medium/2" pwrite64,write 3 20 50+
		seed_fails $error "$medium/" openat 60 120 200+
		seed_fails $error "$work/a/" pwrite64,write 20 60 110 150+
	done
	seed_fails EIO "$medium/3" fsync,fdatasync 3 8 15+
	seed_fails EIO "$medium/1" rename,renameat,renameat2 3 6 9+
	seed_fails EIO "$medium/2" read,pread64 1 5 9+
	crash_report "a disk fails with $options" 10
done
finish
