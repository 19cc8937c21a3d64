#!/bin/sh
# Stopped by SIGKILL at a write, rename or fsync, or failed by the disk at one,
# repair is run again: the media are as they were before the damage, the one
# that was lost is made again, and nothing is left over.
. "$(dirname "$0")/../scenario/lib.sh"
. "$root/tests/scenario/sites.sh"
. "$root/tests/crash/crash.sh"
crash_begin

# Four media of which one may be lost; the fourth is.
a=$work/a0
key=$a/keys/minisign.pub
mkdir "$work/good" "$work/good/1" "$work/good/2" "$work/good/3" "$work/good/4"
check "a seed over four media is made" site "$a" seed mail --for shreveport \
    --to "$work/good/1" --to "$work/good/2" --to "$work/good/3" \
    --to "$work/good/4" --volume-size 256k --survive-media 1 || finish
id=$(basename "$work"/good/1/causeway/????????????????)

# flip FILE OFFSET
flip() {
	printf '\125\252' | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}
repair_fresh() {
	rm -rf "$work/now"
	cp -a "$work/good" "$work/now"
	mv "$work/now/4" "$work/now/lost"
	mkdir "$work/now/4"
	# On medium 2 alone, so all of it can be repaired but with medium 4.
	folder=$work/now/2/causeway/$id
	rm "$folder/CHECKSUMS" "$folder/copy/CHECKSUMS" "$folder/MEDIUM"
	flip "$folder/CHECKSUMS.blocks" 20
}
# What one more lost medium would make too much is tried without it.
repair_volumes() {
	repair_fresh
	rmdir "$work/now/4"
	mv "$work/now/lost" "$work/now/4"
	number=0
	for file in "$folder"/[0-9]*; do
		number=$((number + 1))
		case $number in
		1) rm "$file" ;;
		2) flip "$file" 70000 ;;
		3) truncate -s 100000 "$file" ;;
		esac
	done
}
run_repair() {
	"$@" "$CAUSEWAY" --json repair "$work/now/1" "$work/now/2" \
	    "$work/now/3" $more --signer "$key" >"$work/out" 2>"$work/err"
}
use_lost() {
	fresh=repair_fresh more="--to $work/now/4"
}
use_volumes() {
	fresh=repair_volumes more=$work/now/4
}

check_media() {
	rm -rf "$work/now/lost"
	diff -r -x CUSTODY -x README.txt "$work/good" "$work/now" \
	    >"$work/differs" 2>&1 ||
	    complain "not as before: $(head -n 2 "$work/differs")"
}
repair_again() {
	run_repair || complain "again, it ends with $?"
	check_media
}
repair_point() {
	$fresh
	run_repair "$tmp/stopat" --log "$work/stopped" --kill "$1"
	status=$?
	point_begin "repair, killed at $(tail -n 1 "$work/stopped")"
	if [ "$status" -eq 137 ]; then
		stopped=$((stopped + 1))
	elif [ "$status" -ne 0 ]; then
		complain "it ends with $status"
	fi
	repair_again
	point_end
}
repair_fails() {
	error=$1 names=$2
	shift 2
	for n in "$@"; do
		$fresh
		on=
		[ "${n#*+}" = "$n" ] || on=--on
		run_repair "$tmp/stopat" --path "$work/now" --calls "$names" \
		    --fail "${n%+}" "$error" $on
		status=$?
		point_begin "repair, $error from $names $n"
		[ "$status" -eq 0 ] || check_failure "$status"
		repair_again
		point_end
	done
}

for use in use_lost use_volumes; do
	$use
	$fresh
	run_repair "$tmp/stopat" --log "$log" || fail "repair succeeds when let"
	point_begin "repair, not stopped"
	check_media
	point_end
	echo "repair: $(wc -l <"$log") calls"
	for n in $(spread_kinds "$log" 24); do
		repair_point "$n"
	done
	for error in ENOSPC EIO; do
		repair_fails $error pwrite64,write 1 5 20 3+
	done
	repair_fails EIO fsync,fdatasync 1 4 2+
	repair_fails EIO rename,renameat,renameat2 1 3 2+
	repair_fails ENOSPC openat,mkdirat 3 9 5+
done
crash_report "repair is stopped" 60
finish
