#!/bin/sh
# Disks that are really full: a medium, one whose fullness shows only when it
# is synced, the disk of the state directory, that of the replica.
. "$(dirname "$0")/../scenario/lib.sh"
. "$root/tests/scenario/sites.sh"
. "$root/tests/crash/crash.sh"
[ "$(id -u)" -eq 0 ] || skip "only root can mount small filesystems"
crash_begin
mkdir "$work/small"
mount -t tmpfs -o size=3m causeway-test "$work/small" ||
    skip "no tmpfs can be mounted"
at_exit "umount -l '$work/small' 2>/dev/null"

# says TEXT COMMAND...: its messages hold the text
says() {
	says_what=$1
	shift
	"$@" >"$work/says" 2>&1
	says_status=$?
	cat "$work/says"
	grep -qF -e "$says_what" "$work/says" && return "$says_status"
	return 99
}
seed_to() {
	site "$work/a" seed mail --for shreveport --volume-size 256k "$@"
}
# The seed on these media is the store.
is_whole() {
	rm -rf "$work/b" "$replica"
	cp -a "$work/b0" "$work/b"
	site "$work/b" verify "$@" &&
	    site "$work/b" receive "$@" --root "$replica" &&
	    python3 "$root/tests/scenario/tree.py" list "$replica" |
	    cmp - "$work/list"
}
marks() {
	find "$1" -name '[0-9]*.tar.zst.age' -printf '%f %i %C@\n' | sort
}

# full NAME DIR [COMMAND]: a medium that fills up, a second one, nothing
# written twice; COMMAND mends the medium before
full() {
	seed_fresh
	check_status 1 "$1: seed ends with 1" \
	    says "$2" seed_to --to "$2"
	check "and says what to do" grep -q 'run the same command again' \
	    "$work/says"
	check "no volume in progress is left" \
	    sh -c '! find "$0" -name "*.tmp" | grep .' "$2"
	[ -z "$3" ] || check "the medium is mended" $3
	marks "$2" >"$work/marks"
	check "with a second medium it goes on" \
	    seed_to --to "$2" --to "$medium"
	marks "$2" >"$work/marks.after"
	check "what was finished was not written again" sh -c \
	    '! comm -23 "$0" "$0.after" | grep .' "$work/marks"
	check "the two hold the whole seed" is_whole "$2" "$medium"
}

full "a full medium" "$work/small" ''
check "part of it was on the first" [ -s "$work/marks" ]
rm -rf "$work/small/"*
seed_fresh
check "with both from the beginning the full one is passed over" \
    seed_to --to "$work/small" --to "$medium"
check "both have volumes" sh -c 'ls "$0"/causeway/*/0*.age "$1"/causeway/*/0*.age' \
    "$work/small" "$medium"
check "and together they are whole" is_whole "$work/small" "$medium"

# Thin storage: ext4 with room, on a file that has none.
rm -rf "$work/small/"*
mkdir "$work/thin"
mount -o remount,size=1500k "$work/small"
truncate -s 64m "$work/small/image"
if mke2fs -q -t ext4 -O ^has_journal -m 0 "$work/small/image" \
    >"$work/mke2fs" 2>&1 &&
    mount -o loop "$work/small/image" "$work/thin" 2>"$work/mount"; then
	at_exit "umount -l '$work/thin' 2>/dev/null"
	# Its control files need room in any case.
	mend_thin() {
		umount "$work/thin" &&
		    mount -o remount,size=64m "$work/small" &&
		    { e2fsck -fy "$work/small/image" || [ $? -eq 1 ]; } &&
		    mount -o loop "$work/small/image" "$work/thin"
	}
	full "a medium that is full only when it is synced" "$work/thin" \
	    mend_thin
	umount -l "$work/thin"
else
	echo "skip: no ext4 on a loop device: $(cat "$work/mke2fs" \
	    "$work/mount" 2>/dev/null)"
fi
umount "$work/small"

# The state directory's disk
mount -t tmpfs -o "size=$(($(du -sk "$work/a0" | cut -f 1) + 80))k" \
    causeway-test "$work/small" || skip "no tmpfs"
seed_fresh
rm -rf "$work/a"
cp -a "$work/a0/." "$work/small"
ln -s small "$work/a"
check_status 1 "a full state directory ends seed with 1" \
    says "$work/small" seed_to --to "$medium"
check "and it says what to do" grep -q 'run the same command again' "$work/says"
mount -o remount,size=64m "$work/small"
check "with more room it goes on" seed_to --to "$medium"
check "and is whole" is_whole "$medium"
rm "$work/a"
umount "$work/small"

# The replica's disk
mount -t tmpfs -o size=1m causeway-test "$work/small"
rm -rf "$work/b"
cp -a "$work/b0" "$work/b"
check_status 1 "a full replica ends receive with 1" says 'No space left' \
    site "$work/b" receive "$medium" --root "$work/small" --yes
check "and it says what to do" grep -q 'run the same command again' "$work/says"
mount -o remount,size=64m "$work/small"
check "with more room it goes on" \
    site "$work/b" receive "$medium" --root "$work/small"
python3 "$root/tests/scenario/tree.py" list "$work/small" >"$work/got"
check "and is the store" cmp "$work/list" "$work/got"
finish
