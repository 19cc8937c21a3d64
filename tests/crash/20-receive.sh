#!/bin/sh
# Stopped by SIGKILL at a write, rename, fsync or commit, or failed by the disk
# at one, receive is run again: the same replica comes of it, and no file of a
# volume that was finished is written again.
. "$(dirname "$0")/../scenario/lib.sh"
. "$root/tests/scenario/sites.sh"
. "$root/tests/crash/crash.sh"
crash_begin
receive_count
echo "receive: $(wc -l <"$log") calls:" \
    $(cut -d ' ' -f 2 "$log" | sort | uniq -c | awk '{ print $1, $2 "," }')

for n in $(spread_kinds "$log" 48); do
	receive_point "$n"
done
crash_report "receive is killed" 50

for error in ENOSPC EIO; do
	receive_fails $error "$replica/" pwrite64,write 1 50 300 7+
	receive_fails $error "$replica/" openat 1 40 250 9+
	receive_fails $error "$replica" mkdirat,mkdir 1 2 5 3+
	receive_fails $error "$replica/" link,linkat,symlinkat 1 4 9 15 20 2+
	receive_fails $error "$work/b/" pwrite64,write 1 2 8 20 40 4+
	receive_fails $error "$work/b/" openat,mkdir 1 3 5
done
receive_fails EIO "$replica" syncfs,fsync 1 2 1+
receive_fails EIO "$replica" unlink,unlinkat,rename,renameat 1 3 2+
receive_fails EIO "$work/b/" fsync,fdatasync 1 2 5 9 3+
receive_fails EIO "$work/b/" rename,renameat,unlink,unlinkat,ftruncate 1 2 4 2+
receive_fails EIO "$medium/" read,pread64 1 20 40 60 30+
crash_report "a call of receive fails" 50
finish
