#!/bin/sh
# Stopped by SIGKILL at a write, rename, fsync or commit, or failed by the disk
# at one, seed is run again: the same seed comes of it, and no volume that was
# finished is written again.
. "$(dirname "$0")/../scenario/lib.sh"
. "$root/tests/scenario/sites.sh"
. "$root/tests/crash/crash.sh"
crash_begin
seed_count
echo "seed: $(wc -l <"$log") calls:" \
    $(cut -d ' ' -f 2 "$log" | sort | uniq -c | awk '{ print $1, $2 "," }')

for n in $(spread_kinds "$log" 48); do
	seed_point "$n"
done
crash_report "seed is killed" 50

for error in ENOSPC EIO; do
	seed_fails $error "$medium/" pwrite64,write 1 2 7 20 3+
	seed_fails $error "$medium/" openat 2 9 25 5+
	seed_fails $error "$medium" mkdirat,mkdir 1 2 2+
	seed_fails $error "$work/a/" pwrite64,write 1 2 20 60 110 4+
	seed_fails $error "$work/a/" openat,mkdir 1 4 9
done
seed_fails EIO "$medium/" fsync,fdatasync 1 6 9 14 15 30 40 8+
seed_fails EIO "$medium/" rename,renameat,renameat2 1 2 4 12 20 5+
seed_fails EIO "$medium/" read,pread64 1 5 9 20 6+
seed_fails EIO "$work/a/" fsync,fdatasync,syncfs 1 2 8 14 18 5+
seed_fails EIO "$work/a/" rename,renameat,unlink,unlinkat,ftruncate 1 2 3 5 2+
seed_fails EIO "$store/" read,pread64 1 40 200
crash_report "a call of seed fails" 50
finish
