#!/bin/sh
# Seed and receive are stopped by SIGKILL at a few points and run again; all
# points are in tests/crash.
. "$(dirname "$0")/lib.sh"
. "$here/sites.sh"
. "$root/tests/crash/crash.sh"
crash_begin
seed_count
for n in $(spread "$log" 7); do
	seed_point "$n"
done
crash_report "seed is killed" 5

receive_count
for n in $(spread "$log" 7) $(grep ' linkat ' "$log" | tail -n 1); do
	case $n in
	*[!0-9]*) continue ;;
	esac
	receive_point "$n"
done
crash_report "receive is killed" 6
finish
