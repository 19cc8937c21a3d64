#!/bin/sh
# Sync is stopped by SIGKILL at a write, rename, fsync or commit, at the active
# site and at the standby, and run again: both are equal, nothing crosses twice,
# and no old content is lost.
. "$(dirname "$0")/../scenario/lib.sh"
here=$root/tests/scenario
. "$here/sites.sh"
. "$here/linked.sh"
. "$root/tests/crash/crash.sh"
. "$root/tests/crash/sync.sh"
sync_begin

for who in source replica; do
	sync_count $who
	echo "$who: $bytes_whole bytes, $(wc -l <"$log") calls:" \
	    $(cut -d ' ' -f 2 "$log" | sort | uniq -c | awk '{ print $1, $2 "," }')
	bytes_most=0
	for n in $(spread_kinds "$log" 48); do
		sync_point $who "$n"
	done
	echo "both runs took $bytes_most bytes at most"
	crash_report "the $who is killed" 50
done

# The calls of the replica's log are about those of the daemon's process.
bytes_most=0
for n in $(spread "$log" 15); do
	sync_follower_point "$n"
done
echo "both runs took $bytes_most bytes at most"
crash_report "the follower's process is killed" 10

for who in source replica; do
	bytes_most=0
	for share in 50 200 400 600 800 950; do
		sync_cut $who $share
	done
	echo "both runs took $bytes_most bytes at most"
	crash_report "the line of the $who breaks" 5
done
finish
