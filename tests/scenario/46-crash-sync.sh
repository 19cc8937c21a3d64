#!/bin/sh
# Sync and cutover are stopped by SIGKILL, or by the line, at a dozen points and
# run again; all points are in tests/crash.
. "$(dirname "$0")/lib.sh"
. "$here/sites.sh"
. "$here/linked.sh"
. "$root/tests/crash/crash.sh"
. "$root/tests/crash/sync.sh"
. "$root/tests/crash/cutover.sh"
sync_begin
sync_count source
sync_point source "$(($(wc -l <"$log") / 2))"
sync_count replica
for n in $(spread "$log" 5 | sed '1d;$d'); do
	sync_point replica "$n"
done
sync_cut source 500
crash_report "a sync is stopped" 5
cutover_begin
# Where the roles change, and once before.
cutover_count giver
for n in $(grep 'role.tmp$' "$log" | grep rename | cut -d ' ' -f 1); do
	cutover_point giver "$n"
	cutover_point giver $((n + 1))
done
cutover_hook_point giver metairie fence
cutover_hook_point taker shreveport promote
cutover_fails giver ENOSPC openat,write,pwrite64 1
crash_report "a cutover is stopped" 7
finish
