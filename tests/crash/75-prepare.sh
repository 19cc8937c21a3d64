#!/bin/sh
# `media prepare` is killed at every write, sync and ioctl of its own on the
# disk, and at points spread over those of its mkfs (--full: at all of them),
# and run again with --erase: a good medium comes of it, and no other disk has
# changed.
. "$(dirname "$0")/../scenario/lib.sh"
own_mounts "$@"
. "$root/tests/scenario/loops.sh"
loops_begin
need cc e2fsck sfdisk cmp
cc -O2 -o "$tmp/stopat" "$root/tests/tools/stopat.c" 2>"$tmp/cc" ||
    skip "tests/tools/stopat.c does not build"
"$tmp/stopat" true
[ $? -eq 77 ] && skip "the kernel has no seccomp notifications"

calls=write,pwrite64,writev,pwritev,fsync,fdatasync,ftruncate,fallocate,ioctl
size=48M
stopped=0
wrong=0

# Another disk, with the same label, that nobody is to touch.
disk other "$size"
mkfs.ext4 -q -L disk-a "$disk_other"
sync "$disk_other"
cp --sparse=always "$tmp/other.img" "$tmp/other.before"

# What is on the disk when prepare begins: an older medium.
disk old "$size"
check "a disk is prepared" "$CAUSEWAY" media prepare "$disk_old" \
    --label old --json
disk_end "$disk_old"

fresh() {
	cp --sparse=always "$tmp/old.img" "$tmp/new.img"
	disk_again new
	partx -a "$disk_new" 2>/dev/null
}
prepare() {
	"$@" "$CAUSEWAY" --json media prepare "$disk_new" --label disk-a \
	    --erase "$disk_new" --yes >"$tmp/out" 2>"$tmp/err"
}
complain() {
	wrong=$((wrong + 1))
	echo "    killed at $point: $*"
	cat "$tmp/out" "$tmp/err" | tail -n 3 | cut -c 1-300 |
	    sed 's/^/        /'
}
# The disk is a medium, as other programs see it.
is_good() {
	jq -e '.partition and .label == "disk-a" and .usable > 30000000' \
	    "$tmp/out" >/dev/null || complain "it says something else"
	[ "$(blkid -p -o value -s LABEL "${disk_new}p1")" = disk-a ] ||
	    complain "the label is not there"
	[ "$(blkid -p -o value -s PTTYPE "$disk_new")" = gpt ] ||
	    complain "the table is not there"
	sfdisk --verify "$disk_new" >/dev/null 2>"$tmp/err" ||
	    complain "the table is wrong"
	e2fsck -fn "${disk_new}p1" >"$tmp/out" 2>"$tmp/err" ||
	    complain "the filesystem is wrong"
}

fresh
point="nothing"
prepare "$tmp/stopat" --log "$tmp/log" --path "$disk_new" --calls "$calls" ||
    complain "it ends with $?"
is_good
disk_end "$disk_new"
count=$(wc -l <"$tmp/log")
echo "prepare: $count calls:" \
    $(cut -d ' ' -f 2 "$tmp/log" | sort | uniq -c | awk '{ print $1, $2 "," }')

# kill_at OPTION N: options of stopat that say which calls count.
kill_at() {
	fresh
	prepare "$tmp/stopat" $1 --log "$tmp/log" --path "$disk_new" \
	    --calls "$calls" --kill "$2"
	status=$?
	point=$(tail -n 1 "$tmp/log")
	if [ $status -eq 137 ]; then
		stopped=$((stopped + 1))
	else
		complain "it ends with $status"
	fi
	prepare || complain "run again it ends with $?"
	is_good
	disk_end "$disk_new"
}

wanted=0
if [ "${1:-}" = --full ]; then
	own=0
	points=$(seq "$count")
else
	fresh
	prepare "$tmp/stopat" --own --log "$tmp/log" --path "$disk_new" \
	    --calls "$calls"
	disk_end "$disk_new"
	own=$(wc -l <"$tmp/log")
	points=$(seq 1 12 "$count")
fi
for n in $(seq "$own"); do
	wanted=$((wanted + 1))
	kill_at --own "$n"
done
for n in $points; do
	wanted=$((wanted + 1))
	kill_at "" "$n"
done
check "prepare is killed at $wanted points, $own of them all its own calls" \
    [ "$stopped" -eq "$wanted" ]
check "at least 50 of them" [ "$wanted" -ge 50 ]
check "every one was made good ($wrong were not)" [ "$wrong" -eq 0 ]
sync "$disk_other"
check "another disk has not changed" cmp "$tmp/other.img" "$tmp/other.before"
finish
