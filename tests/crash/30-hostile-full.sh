#!/bin/sh
# Every byte of the headers of a small seed is flipped, one at a time.
. "$(dirname "$0")/../scenario/lib.sh"
. "$root/tests/scenario/sites.sh"
. "$root/tests/scenario/hostile.sh"
hostile_begin
for path in "$medium"/causeway/*/[A-Zac-z0]*; do
	file=${path##*/}
	[ -f "$path" ] || continue
	check "each flipped byte of $file is found" flips 1 "$file"
	cat "$tmp/check.out"
done
finish
