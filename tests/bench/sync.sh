#!/bin/bash
# Sync beside rsync, on the same store, in one run: a first sync over loopback
# against `rsync -a` to an rsync daemon (of a store that is new to Causeway, and
# of one that it knows), and a sync with nothing to do against `rsync -a` with
# nothing to do.  README.md in this folder says how it is
# measured.
set -u -o pipefail
export LC_ALL=C

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
. "$here/bench.sh"

usage() {
	cat <<'END'
usage: tests/bench/sync.sh [OPTION]...
  --only OP[,OP]        of first, follow, noop (all three)
  --rounds N            runs of each tool; medians are shown (5)
  --causeway FILE       the program (build/release/causeway)
  --messages N,M        size of the store of first and of noop (50000,500000)
  --first DIR           a store to take instead of one made anew
  --noop DIR            the same; either stays as it is
  --work DIR            where everything happens (a new folder in /tmp)
  --keep                leave stores, logs and figures in DIR
Must be run by root: rsync sets owners.
Exit status: 0 all ran (targets met or not), 1 something failed, 2 usage.
END
}

only=first,follow,noop rounds=5 causeway=$top/build/release/causeway
messages=50000,500000 first='' noop='' work='' keep=''
while [ $# -gt 0 ]; do
	take_option "only rounds causeway messages first noop work" "$@"
	shift "$taken"
done
check_rounds
check_causeway
export causeway
make_work
far=''

# shellcheck disable=SC2317,SC2329 # called by the trap
clean() {
	[ -z "$far" ] || kill "$far" 2>/dev/null
	[ -n "$keep" ] || rm -rf --one-file-system "${work:?}"
}
trap clean EXIT
trap 'exit 1' INT TERM

make_store() { # DIR given or '', messages, profile: prints the path
	if [ -n "$1" ]; then
		realpath "$1"
		return
	fi
	[ -d "$work/store-$3" ] ||
		"$work/bin/mkstore" --messages "$2" --profile "$3" \
			"$work/store-$3" >"$work/logs/store-$3" || return 1
	echo "$work/store-$3"
}

# ---- the two ends ---------------------------------------------------------

# The far end runs below `measure`, which tells its CPU time and memory when it
# has ended; the near end, what the operator types, has the clock.
far_start() { # command...
	"$work/bin/measure" "$work/far" "$@" >"$work/logs/far" 2>&1 &
	far=$!
}

# `measure` waits for whatever it has started: its child is told to end.
far_stop() {
	local child
	read -r child _ <"/proc/$far/task/$far/children"
	kill "$child"
	wait "$far" 2>/dev/null
	far=''
}

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
await_port() {
	local i
	for i in $(seq 200); do
		answers "$1" && return
		sleep 0.05
	done
	note "nobody answers at port $1:"
	tail -n 3 "$work/logs/far" >&2
	return 1
}
free_port() {
	python3 -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

settle() { # a tree: read once, nothing dirty
	find "$1" -type f -print0 | xargs -0 -r -P 2 cat >/dev/null
	sync
}

run() { # operation, tool, round, command...
	local operation=$1 tool=$2 round=$3 wall cpu peak status
	local far_cpu far_peak _
	shift 3
	"$work/bin/measure" "$work/near" "$@" \
		>"$work/logs/$operation-$tool-$round" 2>&1 </dev/null
	read -r wall cpu peak status <"$work/near"
	far_stop
	read -r _ far_cpu far_peak _ <"$work/far"
	if [ "$status" -ne 0 ]; then
		note "$operation $tool failed with $status:"
		tail -n 3 "$work/logs/$operation-$tool-$round" >&2
		failures=$((failures + 1))
		return 1
	fi
	printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$operation" "$tool" "$wall" \
		"$cpu" "$far_cpu" "$peak" "$far_peak" >>"$results"
	note "$operation $tool: $wall s, CPU $cpu and $far_cpu s," \
		"$((peak / 1024)) and $((far_peak / 1024)) MiB"
}

near() { "$causeway" --home "$work/near-home" "$@"; }
far_site() { "$causeway" --home "$work/far-home" "$@"; }

causeway_prepare() { # store, copy
	rm -rf "$work/near-home" "$work/far-home"
	listen=$(free_port)
	near init metairie &&
		far_site init shreveport --listen "127.0.0.1:$listen" &&
		near pair "$(far_site card)" --at "127.0.0.1:$listen" &&
		far_site pair "$(near card)" &&
		near store add mail store="$1" &&
		far_site store add mail store="$2" --follow metairie
}
causeway_serve() {
	far_start "$causeway" --home "$work/far-home" run &&
		await_port "$listen"
}

rsync_serve() { # copy
	port=$(free_port)
	cat >"$work/rsyncd.conf" <<END
use chroot = no
[copy]
path = $1
read only = no
uid = root
gid = root
END
	far_start rsync --daemon --no-detach --address 127.0.0.1 \
		--port "$port" --config "$work/rsyncd.conf" && await_port "$port"
}

compare() { # tool, store, copy
	if rsync -anicO --delete "$2/" "$3/" 2>&1 | grep . >"$work/differ"; then
		note "$1: $(wc -l <"$work/differ") differences"
		head -n 3 "$work/differ" >&2
		failures=$((failures + 1))
	fi
}

failed() {
	note "$1 could not be prepared: $(tail -n 1 "$work/logs/prepare")"
	[ -z "$far" ] || far_stop
	failures=$((failures + 1))
}

# A new folder each time: ext4 avoids the inodes of deleted files for a minute,
# and whoever comes next would pay for that.
copies=0
fresh() {
	copies=$((copies + 1))
	copy=$work/copy-$copies
	mkdir "$copy"
	chmod --reference="$1" "$copy"
	sync
	[ ! -w /proc/sys/vm/drop_caches ] || echo 3 >/proc/sys/vm/drop_caches
	settle "$1"
}

# All that there is, to a site that has nothing.  Causeway reads and hashes
# every byte, encrypts, and has it durable at the other end when it says so.
first_causeway() { # store, round
	fresh "$1"
	if ! causeway_prepare "$1" "$copy" >"$work/logs/prepare" 2>&1 ||
		! causeway_serve; then
		failed causeway
		return
	fi
	run first causeway "$2" "$causeway" --home "$work/near-home" sync mail
	[ "$2" -gt 1 ] || compare causeway "$1" "$copy"
}

# The same where the active site knows its contents, as one does whose daemon
# runs: what is left is the transfer.
follow_causeway() {
	fresh "$1"
	if ! causeway_prepare "$1" "$copy" >"$work/logs/prepare" 2>&1 ||
		! near scan mail --contents >"$work/logs/prepare" 2>&1 ||
		! causeway_serve; then
		failed causeway
		return
	fi
	sync
	run follow causeway "$2" "$causeway" --home "$work/near-home" sync mail
}
follow_rsync() {
	fresh "$1"
	if ! rsync_serve "$copy"; then
		failed rsync
		return
	fi
	run follow rsync "$2" rsync -a "$1/" "rsync://127.0.0.1:$port/copy/"
}

first_rsync() {
	fresh "$1"
	if ! rsync_serve "$copy"; then
		failed rsync
		return
	fi
	run first rsync "$2" rsync -a "$1/" "rsync://127.0.0.1:$port/copy/"
}

noop_causeway() { # store, round
	if ! causeway_serve; then
		failed causeway
		return
	fi
	run noop causeway "$2" "$causeway" --home "$work/near-home" sync mail
}
noop_rsync() {
	if ! rsync_serve "$copy"; then
		failed rsync
		return
	fi
	run noop rsync "$2" rsync -a "$1/" "rsync://127.0.0.1:$port/copy/"
}

both() { # operation, store: the tools in turn
	local round
	for round in $(seq "$rounds"); do
		if [ $((round % 2)) -eq 1 ]; then
			"$1_causeway" "$2" "$round"
			"$1_rsync" "$2" "$round"
		else
			"$1_rsync" "$2" "$round"
			"$1_causeway" "$2" "$round"
		fi
	done
}

if wants first; then
	store=$(make_store "$first" "${messages%%,*}" mixed) || exit 1
	both first "$store"
fi
if wants follow; then
	store=$(make_store "$first" "${messages%%,*}" mixed) || exit 1
	both follow "$store"
fi
if wants noop; then
	store=$(make_store "$noop" "${messages##*,}" small) || exit 1
	# Both copies are there before the clock starts; one tree serves both.
	fresh "$store"
	if causeway_prepare "$store" "$copy" >"$work/logs/prepare" 2>&1 &&
		causeway_serve && near sync mail >"$work/logs/prepare" 2>&1; then
		far_stop
		noop_causeway "$store" 0 # caches
		sed -i '$d' "$results"
		both noop "$store"
	else
		failed causeway
	fi
fi

awk -F '\t' -v cpus="$(nproc)" -v rsync="$(rsync --version | awk '
	NR == 1 { print $3 }')" \
	-v commit="$(git -C "$top" rev-parse --short HEAD 2>/dev/null)" \
	-v date="$(date -u +%F)" '
function median(key, column,    n, i, j, t, v) {
	n = count[key]
	for (i = 1; i <= n; i++)
		v[i] = value[key, column, i]
	for (i = 2; i <= n; i++)
		for (j = i; j > 1 && v[j - 1] > v[j]; j--) {
			t = v[j]; v[j] = v[j - 1]; v[j - 1] = t
		}
	return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
}
function most(key, column,    i, m) {
	for (i = 1; i <= count[key]; i++)
		if (value[key, column, i] > m)
			m = value[key, column, i]
	return m
}
function show(operation, tool,    key) {
	key = operation " " tool
	printf "%-6s %-9s %9.3f s %9.3f %9.3f %9.1f %9.1f\n", operation, tool,
	    median(key, 3), median(key, 4), median(key, 5),
	    most(key, 6) / 1024, most(key, 7) / 1024
	json = json sprintf("%s{\"operation\":\"%s\",\"tool\":\"%s\"," \
	    "\"runs\":%d,\"seconds\":%.3f,\"cpu_near\":%.3f,\"cpu_far\":%.3f," \
	    "\"peak_near_kib\":%d,\"peak_far_kib\":%d}", json == "" ? "" : ",",
	    operation, tool, count[key], median(key, 3), median(key, 4),
	    median(key, 5), most(key, 6), most(key, 7))
}
function target(what, figure, bound, met) {
	printf "%-60s %8.3f  (%s)  %s\n", what, figure, bound,
	    met ? "met" : "MISSED"
}
{
	key = $1 " " $2
	n = ++count[key]
	for (i = 3; i <= 7; i++)
		value[key, i, n] = $i
}
END {
	printf "%-6s %-9s %11s %9s %9s %9s %9s\n", "", "", "median",
	    "CPU near", "CPU far", "MiB near", "MiB far"
	split("first follow noop", operations, " ")
	for (i = 1; i <= 3; i++) {
		o = operations[i]
		if (!count[o " causeway"] || !count[o " rsync"])
			continue
		show(o, "causeway")
		show(o, "rsync")
	}
	if (count["first causeway"] && count["first rsync"]) {
		r = median("first rsync", 3) / median("first causeway", 3)
		target("first sync, scan and all: throughput by that of rsync -a",
		    r, "at least 0.8", r >= 0.8)
		p = most("first causeway", 6)
		if (most("first causeway", 7) > p)
			p = most("first causeway", 7)
		target("first sync: MiB of the larger side", p / 1024,
		    "below 256", p < 256 * 1024)
	}
	if (count["follow causeway"] && count["follow rsync"]) {
		r = median("follow rsync", 3) / median("follow causeway", 3)
		target("first sync of a store that is known: the same", r,
		    "at least 0.8", r >= 0.8)
	}
	if (count["noop causeway"] && count["noop rsync"]) {
		r = median("noop causeway", 3) / median("noop rsync", 3)
		target("nothing to do: time by that of rsync -a", r,
		    "at most 0.1", r <= 0.1)
	}
	printf "{\"date\":\"%s\",\"commit\":\"%s\",\"cpus\":%d," \
	    "\"rsync\":\"%s\",\"results\":[%s]}\n", date, commit, cpus, rsync,
	    json
}' "$results"
[ "$failures" -eq 0 ] || note "$failures failures"
[ "$failures" -eq 0 ]
