#!/bin/bash
# Media: what parity, verify and repair take, held against the disk itself and
# against the tools that one would otherwise take.  Each case is a function
# case_NAME at the end of "cases"; README.md in this folder says how it is
# measured, media.awk what each is held to.
set -u -o pipefail
export LC_ALL=C

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
. "$here/bench.sh"

usage() {
	cat <<'END'
usage: tests/bench/media.sh [OPTION]...
  --only CASE[,CASE]    of verify, cached, parallel, parity, repair,
                        par2 (all; par2 takes minutes, and runs once)
  --rounds N            runs of each; medians are shown (5)
  --causeway FILE       the program (build/release/causeway)
  --messages N          size of the store (50000, 2.5 GB)
  --store DIR           a store to take instead of one made anew
  --work DIR            where everything happens (a new folder in /tmp)
  --keep                leave store, media, logs and figures in DIR
Must be run by root: it drops caches and mounts loop devices.
Exit status: 0 all ran (targets met or not), 1 something failed, 2 usage.
END
}

cases_known=verify,cached,parallel,parity,repair,par2
only=$cases_known rounds=5 causeway=$top/build/release/causeway
messages=50000 store='' work='' keep=''
while [ $# -gt 0 ]; do
	take_option "only rounds causeway messages store work" "$@"
	shift "$taken"
done
check_rounds
check_root
command -v par2 >/dev/null ||
	apt-get install -y --no-install-recommends par2 >/dev/null || exit 1
check_causeway
make_work
mkdir -p "$work/media" || exit 1
loops=''

# shellcheck disable=SC2317,SC2329 # called by the trap
clean() {
	local loop
	for loop in $loops; do
		umount "$loop" 2>/dev/null
		losetup -d "$loop" 2>/dev/null
	done
	[ -z "$keep" ] || return
	# What we made and no more: DIR may be anybody's.
	rm -rf --one-file-system "${work:?}"/{bin,logs,media,home,disks} \
		"${work:?}"/{store,store.txt,took,results.tsv}
	rmdir --ignore-fail-on-non-empty "$work"
}
trap clean EXIT
trap 'exit 1' INT TERM

# ---- runs ----------------------------------------------------------------

cold() { sync && echo 3 >/proc/sys/vm/drop_caches; }
sizes() { find "$@" -type f -printf '%s\n' | awk '{s += $1} END {printf "%.0f", s}'; }

# One measured run: a line in $results, the command's words in a log.
run() { # case, what, round, bytes, command...
	local log=$work/logs/$1-$2-$3 line=$1$'\t'$2$'\t'$3 bytes=$4
	local wall cpu peak status
	shift 4
	"$work/bin/measure" "$work/took" bash -o pipefail -c "$*" \
		>"$log" 2>&1 </dev/null
	read -r wall cpu peak status <"$work/took"
	if [ "$status" -ne 0 ]; then
		note "${line//$'\t'/ } failed with $status:"
		tail -n 3 "$log" >&2
		failures=$((failures + 1))
		return 1
	fi
	printf '%s\t%s\t%s\t%s\t%s\n' "$line" "$wall" "$cpu" "$peak" "$bytes" \
		>>"$results"
	note "${line//$'\t'/ }: $wall s, $cpu CPU s, $((peak / 1024)) MiB"
}

# Runs two commands A B, in the next round B A: case, round, then what and
# command of each.
pair() {
	local first=(run "$1" "$3" "$2" "$bytes" "$4")
	local second=(run "$1" "$5" "$2" "$bytes" "$6")
	if [ $(($2 % 2)) -eq 1 ]; then
		settle && "${first[@]}"
		settle && "${second[@]}"
	else
		settle && "${second[@]}"
		settle && "${first[@]}"
	fi
}

# ---- a store, two sites, seeds -------------------------------------------

H=$work/home
active() { "$causeway" --home "$H/active" --quiet "$@"; }
standby() { "$causeway" --home "$H/standby" --quiet "$@"; }
export H causeway
export -f active standby

prepare() {
	if [ -z "$store" ]; then
		store=$work/store
		if [ ! -s "$store.txt" ]; then
			note "making the store"
			rm -rf "$store"
			"$work/bin/mkstore" --messages "$messages" --profile \
				mixed --until $(($(date +%s) / 86400 * 86400)) \
				"$store" >"$store.txt" || return 1
		fi
	fi
	rm -rf "$H" && mkdir -p "$H/active" "$H/standby" &&
		active init metairie && standby init shreveport &&
		active pair "$(standby card)" && standby pair "$(active card)" &&
		active store add mail "$store"
}

# seed_to NAME OPTION...: a seed in $work/media/NAME, made once
seed_to() {
	local to=$work/media/$1
	shift
	[ ! -d "$to" ] || return 0
	note "packing a seed ($*)"
	mkdir -p "$to" && active seed mail --for shreveport --to "$to" --new \
		"$@" >/dev/null
}

# verify DIR...: the command that is measured
verify="\"\$causeway\" --home \"\$H/standby\" --quiet verify --no-custody"

# ---- cases ---------------------------------------------------------------

# From one disk, against dd past the page cache over the same files.
case_verify() { # round
	local M=$work/media/seed bytes
	seed_to seed && bytes=$(sizes "$M") || return 1
	settle() { cold; }
	pair verify "$1" causeway "$verify '$M'" dd \
		"find '$M' -type f -print0 | sort -z | xargs -0 -I{} \
		dd if={} of=/dev/null bs=4M iflag=direct status=none"
}

# From the page cache, against sha256sum over the same files.
case_cached() { # round
	local M=$work/media/seed bytes
	seed_to seed && bytes=$(sizes "$M") || return 1
	settle() { find "$M" -type f -print0 | xargs -0 cat >/dev/null; }
	pair cached "$1" causeway "$verify --cached '$M'" sha256sum \
		"find '$M' -type f -print0 | xargs -0 sha256sum"
}

# Two media on two devices, against a dd for each of them at once.
case_parallel() { # round
	local M=$work/disks i bytes mib
	if [ ! -d "$M" ]; then
		seed_to seed || return 1
		mib=$(($(du -sm "$work/media/seed" | cut -f 1) * 3 / 4 + 256))
		for i in 1 2; do
			mkdir -p "$M/$i"
			head -c "${mib}M" /dev/urandom >"$M/$i.img"
			loop=$(losetup -f --show --direct-io=on "$M/$i.img") ||
				return 1
			loops="$loops $loop"
			mkfs.ext4 -q -F -m 0 -E nodiscard "$loop" &&
				mount -o noatime "$loop" "$M/$i" || return 1
		done
		note "packing a seed onto two disks"
		active seed mail --for shreveport --to "$M/1" "$M/2" --new \
			--volume-size 64M >/dev/null || return 1
	fi
	bytes=$(sizes "$M/1" "$M/2")
	settle() { cold; }
	pair parallel "$1" causeway "$verify '$M/1' '$M/2'" dd \
		"for i in 1 2; do
		find '$M'/\$i -type f -print0 | sort -z | xargs -0 -I{} \
		dd if={} of=/dev/null bs=4M iflag=direct status=none &
		done; wait"
}

# A seed with parity, and one without.
case_parity() { # round
	local M=$work/media bytes seed
	seed="active seed mail --for shreveport --new --volume-size 64M >/dev/null"
	bytes=$(sizes "$store")
	settle() {
		# New folders: ext4 goes around what was deleted a minute ago.
		find "$store" -type f -print0 | xargs -0 cat >/dev/null
		sync
	}
	mkdir -p "$M/with-$1" "$M/without-$1"
	pair parity "$1" with "$seed --parity 10+1 --to '$M/with-$1'" \
		without "$seed --parity none --to '$M/without-$1'"
	[ "$1" -eq 1 ] || rm -rf "$M/without-$1" "$M/with-$1"
}

# One volume of eleven files is gone; the others are read by dd.
case_repair() { # round
	local M=$work/media/eleven folder victim bytes size
	size=$(($(sizes "$store") * 62 / 100 / 10 / 65536 * 65536))
	seed_to eleven --parity 10+1 --volume-size "$size" || return 1
	folder=$(echo "$M"/causeway/*/)
	if [ "$(find "$folder" -type f -name '0*' | wc -l)" -ne 11 ]; then
		note "repair: $(find "$folder" -type f -name '0*' | wc -l) files, not 11"
	fi
	victim=${folder}000004.tar.zst.age
	bytes=$(($(sizes "$folder" -name '0*') - $(stat -c %s "$victim")))
	settle() {
		rm -f "$victim"
		cold
	}
	pair repair "$1" causeway "\"\$causeway\" --home \"\$H/standby\" --quiet \
		repair '$M'" dd "find '$folder' -type f -name '0*' -print0 | sort -z |
		xargs -0 -I{} dd if={} of=/dev/null bs=4M iflag=direct status=none"
	[ -f "$victim" ] || "$causeway" --home "$H/standby" --quiet repair "$M"
}

# The same redundancy by par2, over the volumes of the seed without parity.
case_par2() { # round
	local M=$work/media/plain bytes
	[ "$1" -eq 1 ] || return 0
	seed_to plain --parity none --volume-size 64M || return 1
	bytes=$(sizes "$M" -name '0*')
	cold
	run par2 par2 "$1" "$bytes" "cd '$M'/causeway/*/ &&
		par2 create -q -q -r10 '$work/media/shards.par2' 0*.age"
	rm -f "$work"/media/shards*.par2
}

prepare || exit 1
for round in $(seq "$rounds"); do
	for name in ${only//,/ }; do
		case ,$cases_known, in *",$name,"*) ;; *)
			note "no case $name"
			exit 2
			;;
		esac
		note "$name, round $round of $rounds"
		"case_$name" "$round" || {
			note "$name could not be run"
			failures=$((failures + 1))
		}
	done
done
awk -f "$here/median.awk" -f "$here/media.awk" \
	-v cpus="$(nproc)" -v kernel="$(uname -r)" \
	-v commit="$(git -C "$top" rev-parse --short HEAD 2>/dev/null)" \
	-v date="$(date -u +%F)" "$results"
[ "$failures" -eq 0 ] || note "$failures failures"
[ "$failures" -eq 0 ]
