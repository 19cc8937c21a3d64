#!/bin/sh
# A cutover is stopped by SIGKILL at a write, rename, fsync or commit, in a
# hook, by the disk or by the line, at either site, and run again: there is one
# active site in the end, and at no time were there two.
. "$(dirname "$0")/../scenario/lib.sh"
here=$root/tests/scenario
. "$here/sites.sh"
. "$here/linked.sh"
. "$root/tests/crash/crash.sh"
. "$root/tests/crash/sync.sh"
. "$root/tests/crash/cutover.sh"
cutover_begin

for sides in "giver orderer" "taker driver"; do
	for who in $sides; do
		cutover_count $who
		echo "$who: $bytes_whole bytes, $(wc -l <"$log") calls"
		for n in $(spread_kinds "$log" 14); do
			cutover_point $who "$n"
		done
	done
	crash_report "a switchover is killed ($sides)" 50
done

cutover_hook_point giver metairie fence
cutover_hook_point giver metairie demote
cutover_hook_point driver metairie fence
cutover_hook_point driver metairie demote
cutover_hook_point taker shreveport promote
cutover_hook_point orderer shreveport promote
cutover_alone
cutover_twice
crash_report "killed while a hook runs" 8

for error in ENOSPC EIO; do
	cutover_fails giver $error openat,write,pwrite64 1 2 3 4 5 6 3+
	cutover_fails giver $error fsync,renameat,rename 1 2 3 4 5 6 2+
	cutover_fails taker $error openat,write,pwrite64 1 2 3 1+
	cutover_fails taker $error fsync,renameat,rename 1 2 3 1+
done
crash_report "the record of the role can't be written" 20

for who in giver orderer; do
	cutover_count $who
	for seed in 1 2 3 4 5 6 7 8 9 10; do
		cutover_cut $who "$(python3 -c "import random
print(random.Random($seed).randrange(1, $bytes_whole))")"
	done
	crash_report "the line of the $who breaks" 8
done

failover_begin
failover_count
echo "failover: $(wc -l <"$log") calls"
for n in $(spread_kinds "$log" 40); do
	failover_point "$n"
done
crash_report "the failover is killed" 50
if [ -n "${CAUSEWAY_OUTCOMES:-}" ]; then
	cp "$tmp/outcomes" "$CAUSEWAY_OUTCOMES"
fi
finish
