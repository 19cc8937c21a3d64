#!/bin/bash
# Causeway beside other tools, on the same store, in one run.  README.md in
# this folder says how to read what comes out.
set -u -o pipefail
export LC_ALL=C

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
. "$here/bench.sh"

usage() {
	cat <<'END'
usage: tests/bench/run.sh [OPTION]...
  --store mixed|small|both   which sample store (both)
  --cache warm|cold|both     page cache before each run (both)
  --rounds N                 runs of each tool; medians are shown (5)
  --only OP[,OP]             of seed, receive, verify (all three)
  --tools T[,T]              of causeway,tar,restic,borg,dar,casync,cp (all)
  --causeway FILE            the program (build/release/causeway)
  --messages N,M             size of the mixed and small store (50000,500000)
  --parity K+M               passed to causeway seed (its own default)
  --work DIR                 where everything happens (a new folder in /tmp)
  --plain                    write into folders, not onto loop devices
  --keep                     leave stores, logs and figures in DIR
Must be run by root: it drops caches, mounts loop devices and restores owners.
Exit status: 0 all ran (targets met or not), 1 something failed, 2 usage.
END
}

store=both cache=both rounds=5 only=seed,receive,verify
tools=causeway,tar,restic,borg,dar,casync,cp
causeway=$top/build/release/causeway
messages=50000,500000 parity='' work='' plain='' keep=''

while [ $# -gt 0 ]; do
	if [ "$1" = --plain ]; then
		plain=1
		shift
		continue
	fi
	take_option \
		"store cache rounds only tools causeway messages parity work" "$@"
	shift "$taken"
done

case $store in both) stores='mixed small' ;; mixed | small) stores=$store ;;
*) wrong_usage ;;
esac
case $cache in both) caches='warm cold' ;; warm | cold) caches=$cache ;;
*) wrong_usage ;;
esac
check_rounds
check_root

# ---- what is needed ------------------------------------------------------

missing=''
for pair in tar:tar zstd:zstd age:age restic:restic borg:borgbackup dar:dar \
	casync:casync cc:gcc mkfs.ext4:e2fsprogs losetup:mount; do
	command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair##*:}"
done
if [ -n "$missing" ]; then
	note "installing$missing"
	# shellcheck disable=SC2086 # a list of packages
	apt-get install -y --no-install-recommends $missing >/dev/null || exit 1
fi

make_work
mkdir -p "$work/media" "$work/replica" || exit 1

media=$work/media replica=$work/replica
media_device='' replica_device=''

if [ ! -x "$causeway" ]; then
	note "no $causeway: the other tools run alone"
	tools=$(printf '%s' ",$tools," | sed 's/,causeway,/,/; s/^,//; s/,$//')
else
	causeway=$(realpath "$causeway")
fi

# shellcheck disable=SC2317,SC2329 # called by the trap
clean() {
	mountpoint -q "$media" && umount "$media"
	mountpoint -q "$replica" && umount "$replica"
	[ -z "$media_device" ] || losetup -d "$media_device"
	[ -z "$replica_device" ] || losetup -d "$replica_device"
	rm -f "$work/media.img" "$work/replica.img"
	[ -z "$keep" ] || return
	# What we made and no more: DIR may be anybody's.
	rm -rf --one-file-system "${work:?}"/{bin,logs,home,media,replica} \
		"${work:?}"/store-{mixed,small}{,.txt} \
		"${work:?}"/{age.key,took,results.tsv}
	rmdir --ignore-fail-on-non-empty "$work"
}
trap clean EXIT
trap 'exit 1' INT TERM

# ---- disks ---------------------------------------------------------------

# Each run writes into an empty filesystem of its own on blocks that were
# written before.  Blocks that were never touched are several times slower on
# many virtual disks, and ext4 avoids the inodes of deleted files for a minute:
# either would hit one tool more than the next.
make_disk() { # file, MiB: prints the loop device
	head -c "$2M" /dev/urandom >"$1" && sync "$1" &&
		losetup -f --show --direct-io=on "$1"
}

fresh() { # mount point, its device
	if [ -z "$2" ]; then
		# Forget the deleted inodes, lest the next run pays for them.
		find "$1" -mindepth 1 -delete
		sync
		echo 3 >/proc/sys/vm/drop_caches
		return
	fi
	mountpoint -q "$1" && umount "$1"
	mkfs.ext4 -q -F -m 0 -N 800000 -O ^resize_inode -E \
		nodiscard,lazy_itable_init=0,lazy_journal_init=0 "$2" &&
		mount -o noatime "$2" "$1" &&
		rmdir "$1/lost+found"
}

disks() { # MiB of each
	[ -z "$plain" ] || return 0
	note "two disks of $1 MiB"
	media_device=$(make_disk "$work/media.img" "$1") &&
		replica_device=$(make_disk "$work/replica.img" "$1")
}

read_tree() { find "$1" -type f -print0 | xargs -0 -r -P 2 cat >/dev/null; }

# Puts the page cache into the state that the run is to find.
settle() { # cache, tree
	sync
	if [ "$1" = cold ]; then
		echo 3 >/proc/sys/vm/drop_caches
	else
		read_tree "$2"
	fi
}

# ---- tools ---------------------------------------------------------------

# For each tool: <tool>_prepare makes keys and empty repositories and is not
# measured; <tool>_seed and <tool>_receive are.  $S is the store, $M the
# medium, $R the replica, $H a home that is new for each image.
key=$work/age.key
rm -f "$key"
age-keygen -o "$key" 2>/dev/null || exit 1
recipient=$(age-keygen -y "$key")
export key recipient causeway parity
export RESTIC_PASSWORD=bench BORG_PASSPHRASE=bench
export BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes
export BORG_RELOCATED_REPO_ACCESS_IS_OK=yes

tar_prepare() { :; }
tar_seed() {
	tar -C "$S" -cf - . | zstd -q -3 -T0 | age -r "$recipient" >"$M/image"
}
tar_receive() {
	age -d -i "$key" "$M/image" | zstd -q -dc | tar -C "$R" -xpf -
}

restic_prepare() { restic -q --no-cache -r "$M/repo" init; }
restic_seed() { cd "$S" && restic -q --no-cache -r "$M/repo" backup .; }
restic_receive() {
	restic -q --no-cache -r "$M/repo" restore latest --target "$R"
}

borg_prepare() { borg init -e repokey "$M/repo"; }
borg_seed() { cd "$S" && borg create -C zstd,3 "$M/repo::seed" .; }
borg_receive() { cd "$R" && borg extract "$M/repo::seed"; }

dar_prepare() { :; }
dar_seed() { dar -Q -q -c "$M/image" -R "$S" -zzstd:3; }
dar_receive() { dar -Q -q -x "$M/image" -R "$R"; }

casync_prepare() { :; }
casync_seed() {
	casync make --store="$M/image.castr" "$M/image.caidx" "$S" >/dev/null
}
casync_receive() {
	casync extract --store="$M/image.castr" "$M/image.caidx" "$R/tree"
}

cp_prepare() { :; }
cp_seed() { cp -a "$S" "$M/copy"; }
cp_receive() { cp -a "$M/copy" "$R/tree"; }

active() { "$causeway" --home "$H/active" --quiet "$@"; }
standby() { "$causeway" --home "$H/standby" --quiet "$@"; }
causeway_prepare() {
	mkdir -p "$H/active" "$H/standby" "$M/seed" &&
		active init metairie >/dev/null &&
		standby init shreveport >/dev/null &&
		active pair "$(standby card)" >/dev/null &&
		standby pair "$(active card)" >/dev/null
}
causeway_seed() {
	active store add mail "$S" &&
		active seed mail --for shreveport --to "$M/seed" \
			${parity:+--parity "$parity"}
}
causeway_receive() {
	standby receive "$M/seed" --store mail --root "$R/tree"
}

# The proof of an image, and what it is held against.
proof_files() { find "$M/seed" -type f -print0 | sort -z; }
causeway_verify() {
	"$causeway" --quiet verify "$M/seed" --signer \
		"$(find "$H/active" -name minisign.pub | head -n 1)" "$@"
}
causeway_cached() { causeway_verify --cached; }
causeway_direct() { causeway_verify; }
sha256sum_cached() { proof_files | xargs -0 sha256sum; }
dd_direct() {
	proof_files | while IFS= read -r -d '' file; do
		dd if="$file" of=/dev/null bs=4M iflag=direct status=none ||
			return 1
	done
}

export -f active standby causeway_verify proof_files
export -f tar_prepare tar_seed tar_receive restic_prepare restic_seed \
	restic_receive borg_prepare borg_seed borg_receive dar_prepare \
	dar_seed dar_receive casync_prepare casync_seed casync_receive \
	cp_prepare cp_seed cp_receive causeway_prepare causeway_seed \
	causeway_receive causeway_cached causeway_direct sha256sum_cached \
	dd_direct

# ---- runs ----------------------------------------------------------------

sizes() { # tree, find's conditions: bytes in files
	find "$@" -type f -printf '%s\n' | awk '{s += $1} END {printf "%.0f", s}'
}

# One measured run: a line in $results, the command's words in a log.
run() { # operation, tool, function, bytes if known
	local log=$work/logs/$store-$cache-$1-$2-$round parity_bytes=0
	local wall cpu peak status bytes=${4:-}

	export S M R H
	"$work/bin/measure" "$work/took" \
		bash -o pipefail -c "$3" >"$log" 2>&1 </dev/null
	read -r wall cpu peak status <"$work/took"
	if [ "$status" -ne 0 ]; then
		note "$store $cache $1 $2 failed with $status:"
		tail -n 3 "$log" >&2
		failures=$((failures + 1))
		return 1
	fi
	if [ "$1" = seed ]; then
		parity_bytes=$(sizes "$M" -name '*.rs')
		bytes=$(($(sizes "$M") - parity_bytes))
	fi
	printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$store" "$cache" \
		"$1" "$2" "$round" "$wall" "$cpu" "$peak" "${bytes:-0}" \
		"$parity_bytes" >>"$results"
	note "$store $cache $1 $2: $wall s, $cpu CPU s, $((peak / 1024)) MiB"
}

# What came back must be what was there, but for the times of reading.
compare() { # tool
	local tree=$R differing
	[ -d "$R/tree" ] && tree=$R/tree
	differing=$(diff -rq --no-dereference "$S" "$tree" 2>&1 | wc -l)
	if [ "$differing" -ne 0 ]; then
		note "$1: $differing differences between the store and what" \
			"came back, see $work/logs/differences-$1"
		diff -rq --no-dereference "$S" "$tree" \
			>"$work/logs/differences-$1" 2>&1
		failures=$((failures + 1))
	fi
}

verify_runs() {
	local bytes
	bytes=$(sizes "$M/seed")
	if [ "$cache" = warm ]; then
		settle warm "$M/seed"
		run verify-cached causeway causeway_cached "$bytes"
		settle warm "$M/seed"
		run verify-cached sha256sum sha256sum_cached "$bytes"
	else
		settle cold "$M/seed"
		run verify-direct causeway causeway_direct "$bytes"
		settle cold "$M/seed"
		run verify-direct dd dd_direct "$bytes"
	fi
}

one_tool() { # tool
	M=$media R=$replica H=$work/home
	export BORG_BASE_DIR=$H/borg S M R H
	rm -rf "$H"
	mkdir -p "$H"
	if ! fresh "$media" "$media_device" ||
		! fresh "$replica" "$replica_device"; then
		note "no empty disk for $1"
		failures=$((failures + 1))
		return
	fi
	if ! bash -c "$1_prepare" >"$work/logs/prepare-$1" 2>&1; then
		note "$1 could not be prepared:"
		tail -n 3 "$work/logs/prepare-$1" >&2
		failures=$((failures + 1))
		return
	fi
	settle "$cache" "$S"
	run seed "$1" "$1_seed" || return
	if wants receive; then
		settle "$cache" "$M"
		run receive "$1" "$1_receive" &&
			[ "$round" = 1 ] && [ "$cache" = "${caches%% *}" ] &&
			compare "$1"
	fi
	if [ "$1" = causeway ] && wants verify; then
		sync
		verify_runs
	fi
}

# The tools in turn, beginning with another one each round.
rotated() {
	local all=() i
	IFS=, read -r -a all <<<"$tools"
	for i in "${!all[@]}"; do
		printf '%s\n' "${all[(i + round - 1) % ${#all[@]}]}"
	done
}

needed=0
for store in $stores; do
	n=${messages%%,*}
	[ "$store" = small ] && n=${messages##*,}
	S=$work/store-$store
	if [ ! -s "$S.txt" ]; then
		note "making the $store store"
		rm -rf "$S"
		"$work/bin/mkstore" --messages "$n" --profile "$store" \
			--until $(($(date +%s) / 86400 * 86400)) "$S" \
			>"$S.txt" || exit 1
		sync
	fi
	cat "$S.txt" >&2
	# A third over what cp -a takes, inodes, a journal, whole volumes.
	mib=$(($(du -sm "$S" | cut -f 1) * 4 / 3 + 1600))
	[ "$mib" -le "$needed" ] || needed=$mib
done
disks "$needed" || exit 1
if [ -z "$plain" ]; then
	# Their blocks, and as much memory, are touched once before it counts.
	for pair in "$media $media_device" "$replica $replica_device"; do
		# shellcheck disable=SC2086 # two words
		fresh $pair || exit 1
		free=$(df -m --output=avail "${pair% *}" | tail -n 1)
		head -c "$((free * 9 / 10))M" /dev/zero >"${pair% *}/fill"
		sync "${pair% *}/fill"
	done
fi

for store in $stores; do
	S=$work/store-$store
	for cache in $caches; do
		for round in $(seq "$rounds"); do
			note "$store, $cache cache, round $round of $rounds"
			for tool in $(rotated); do
				one_tool "$tool"
			done
		done
	done
done

# ---- report --------------------------------------------------------------

version() { "$@" 2>/dev/null | grep -oE '\bv?[0-9]+(\.[0-9]+)*\b' | head -n 1; }
peers="tar $(version tar --version), zstd $(version zstd -qV), \
age $(version dpkg-query -W age), restic $(version restic version), \
borg $(version borg --version), dar $(version dar --version), \
casync $(version casync --version)"
awk -f "$here/median.awk" -f "$here/report.awk" \
	-v cpus="$(nproc)" -v peers="$peers" \
	-v memory="$(awk '/MemTotal/ {print int($2 / 1024)}' /proc/meminfo)" \
	-v kernel="$(uname -r)" -v commit="$(git -C "$top" rev-parse --short \
		HEAD 2>/dev/null)" -v date="$(date -u +%F)" \
	-v stores="$(for s in $stores; do
		printf '%s: %s; ' "$s" "$(cat "$work/store-$s.txt")"
	done)" "$results"
[ "$failures" -eq 0 ] || note "$failures failures"
[ "$failures" -eq 0 ]
