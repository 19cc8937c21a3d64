#!/bin/sh
# A seed on three media with parity is stopped by SIGKILL at a few points, or a
# medium fails, and it is run again; all points are in tests/crash/70-media.sh.
. "$(dirname "$0")/lib.sh"
. "$here/sites.sh"
. "$root/tests/crash/crash.sh"
. "$root/tests/crash/media.sh"
crash_begin
crash_volume=64k

for options in "--parity 3+1" "--survive-media 1"; do
	# shellcheck disable=SC2086 # options are words
	media_begin "$options" $options
	seed_count
	check "no block digests are left over" \
	    sh -c '! ls -d "$0"/a/seeds/*/blocks' "$work"
	for n in $(spread "$log" 5); do
		seed_point "$n"
	done
	seed_fails EIO "$medium/2" pwrite64 9+
	crash_report "seed $options is stopped" 4
done
finish
