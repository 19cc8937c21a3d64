# Sourced after lib.sh and sites.sh: stops seed and receive anywhere and looks
# whether running them again makes good.
#
#   crash_begin              builds tests/tools/stopat.c, makes a store of some
#                            hundred messages and two sites that trust each
#                            other, in $work
#   spread LOG N             N calls of a log of stopat, evenly spread
#   spread_kinds LOG N       the same, and the first, middle and last one of
#                            each kind
#   seed_count, receive_count
#                            one run that is not stopped: its calls are in $log
#   seed_point N             stops seed at its Nth call, runs it again, and
#                            checks all of it; counts in $stopped, $wrong
#   receive_point N          the same for receive
#   seed_fails ERRNO PATH CALLS N...
#   receive_fails ERRNO PATH CALLS N...
#                            the Nth of these calls fails instead
#   crash_report WHAT LEAST  prints the counts; at least LEAST were stopped

stopped=0
wrong=0
crash_volume=256k

crash_begin() {
	need cc python3 jq sqlite3
	cc -O2 -o "$tmp/stopat" "$root/tests/tools/stopat.c" 2>"$tmp/cc" ||
	    skip "tests/tools/stopat.c does not build"
	"$tmp/stopat" true
	[ $? -eq 77 ] && skip "the kernel has no seccomp notifications"
	# Elsewhere each syncfs waits for all that others write.
	work=$tmp/work
	mkdir "$work"
	mount -t tmpfs -o size=512m,mode=700 causeway-test "$work" 2>/dev/null &&
	    at_exit "umount -l '$work'"
	store=$work/mail medium=$work/medium replica=$work/replica
	log=$work/log
	python3 "$root/tests/crash/store.py" "$store" ||
	    fail "the store is made"
	python3 "$root/tests/scenario/tree.py" list "$store" >"$work/list"
	site_init "$work/a0" metairie >/dev/null &&
	    site_init "$work/b0" shreveport >/dev/null &&
	    site_pair "$work/a0" "$work/b0" >/dev/null &&
	    site "$work/a0" store add mail "$store" >/dev/null ||
	    fail "the sites are made"
}

# As if nothing had been done yet.
seed_fresh() {
	rm -rf "$work/a" "$medium"
	cp -a "$work/a0" "$work/a" && mkdir "$medium"
}
receive_fresh() {
	rm -rf "$work/b" "$replica"
	cp -a "$work/b0" "$work/b"
}
run_seed() {
	"$@" "$CAUSEWAY" --home "$work/a" --json seed mail --for shreveport \
	    --to "$medium" --volume-size "$crash_volume" \
	    >"$work/out" 2>"$work/err"
}
run_receive() {
	"$@" "$CAUSEWAY" --home "$work/b" --json receive "$medium" \
	    --root "$replica" >"$work/out" 2>"$work/err"
}

spread() {
	awk -v want="$2" '
		END {
			for (i = 0; i < want; i++)
				print int(1 + (NR - 1) * i / (want - 1))
		}' "$1"
}
spread_kinds() {
	awk -v want="$2" '
		{ kinds[$2] = kinds[$2] " " $1; count[$2]++ }
		END {
			for (i = 0; i < want; i++)
				pick[int(1 + (NR - 1) * i / (want - 1))]
			for (kind in kinds) {
				split(kinds[kind], n, " ")
				pick[n[1]]
				pick[n[int((count[kind] + 1) / 2)]]
				pick[n[count[kind]]]
			}
			for (p in pick)
				print p
		}' "$1" | sort -n
}

# complain WHAT: this point is wrong.  What is needed to look into it follows.
complain() {
	is_wrong=1
	echo "    $point: $*"
	cat "$work/err" "$work/out" | tail -n 3 | cut -c 1-300 | sed 's/^/        /'
}

point_begin() {
	point=$*
	is_wrong=
}
point_end() {
	[ -z "$is_wrong" ] || wrong=$((wrong + 1))
}

# No leftovers of what was interrupted.
check_leftovers() {
	for place in "$@"; do
		[ -e "$place" ] || continue
		find "$place" -name '*.tmp' -o -name '.incoming*' -o \
		    -path '*/seeds/*/catalog.sqlite' |
		    grep . >"$work/leftovers" &&
		    complain "left over: $(tr '\n' ' ' <"$work/leftovers")"
	done
}

# ---- seed ----

# Volumes that are done: their inodes and times.
volumes_done() {
	find "$medium" -name '[0-9]*.tar.zst.age' \
	    -printf '%f %i %T@ %C@ %s\n' | sort
}

# The seed is whole, and is the store.
check_seed() {
	"$CAUSEWAY" --home "$work/b0" --json verify --no-custody "$medium" \
	    >"$work/out" 2>"$work/err" || complain "verify ends with $?"
	[ "$(find "$medium/causeway" -mindepth 1 -maxdepth 1 -type d |
	    wc -l)" -eq 1 ] || complain "there is more than one seed"
	digest=$("$CAUSEWAY" --home "$work/a" --json status mail |
	    jq -r '.stores[0].digest')
	receive_fresh
	run_receive || complain "receive ends with $?"
	[ "$(jq -r '.digest // "none"' "$work/out")" = "$digest" ] ||
	    complain "the state digests differ"
	python3 "$root/tests/scenario/tree.py" list "$replica" >"$work/got"
	cmp -s "$work/got" "$work/list" ||
	    complain "the replica is not the store"
}

seed_again() {
	volumes_done >"$work/done"
	if grep -qs '^finished$' "$work"/a/seeds/*/ledger; then
		check_seed # nothing is left to be done
		return
	fi
	run_seed || complain "run again it ends with $?"
	volumes_done >"$work/done.after"
	comm -23 "$work/done" "$work/done.after" | grep -q . &&
	    complain "finished volumes were written again"
	check_leftovers "$work/a" "$medium"
	check_seed
}

seed_count() {
	seed_fresh
	run_seed "$tmp/stopat" --log "$log" || fail "seed succeeds when let"
	point_begin "seed, not stopped"
	check_seed
	point_end
}

seed_point() {
	seed_fresh
	run_seed "$tmp/stopat" --log "$work/stopped" --kill "$1"
	status=$?
	point_begin "seed, killed at $(tail -n 1 "$work/stopped")"
	if [ "$status" -eq 137 ]; then
		stopped=$((stopped + 1))
	elif [ "$status" -ne 0 ]; then
		complain "it ends with $status"
	fi
	seed_again
	point_end
}

# It says what failed, where, and what to do, and ends with 1 (or 4 where it is
# a file of the store that fails); or it did not need the call.
check_failure() {
	failure=$1
	[ "$failure" -eq 0 ] && return
	stopped=$((stopped + 1))
	[ "$failure" -eq 1 ] || [ "$failure" -eq 4 ] ||
	    complain "it ends with $failure"
	message=$(jq -r '.error.message // ""' "$work/out")
	case $message in
	*/* | *.*) ;;
	*) complain "it names no file: $message" ;;
	esac
	case $message in
	*again* | *bring* | *attach*) ;;
	*) complain "it does not say what to do: $message" ;;
	esac
}

seed_fails() {
	error=$1 path=$2 names=$3
	shift 3
	for n in "$@"; do
		seed_fresh
		on=
		[ "${n#*+}" = "$n" ] || on=--on
		run_seed "$tmp/stopat" --path "$path" --calls "$names" \
		    --fail "${n%+}" "$error" $on
		status=$?
		point_begin "seed, $error from $names $n of $path"
		check_failure "$status"
		seed_again
		point_end
	done
}

# ---- receive ----

# Before the first receive_point: the seed, and which volume holds what.
receive_count() {
	seed_fresh
	run_seed || fail "seed succeeds"
	receive_fresh
	run_receive "$tmp/stopat" --log "$log" || fail "receive succeeds when let"
	digest=$(jq -r .digest "$work/out")
	sqlite3 -separator ' ' "$work/b/stores/mail/catalog.sqlite" "
		WITH RECURSIVE d(id, path) AS (
			SELECT child, '' FROM entry WHERE dir = 0
			UNION ALL
			SELECT e.child, d.path || CAST(e.name AS TEXT) || '/'
			FROM entry e JOIN d ON e.dir = d.id WHERE e.kind = 'd')
		SELECT e.volume, d.path || CAST(e.name AS TEXT)
		FROM entry e JOIN d ON e.dir = d.id
		WHERE e.kind = 'f' AND coalesce(e.linkgroup, 0) = 0
		AND NOT EXISTS (SELECT 1 FROM part p
			WHERE p.dir = e.dir AND p.name = e.name)" \
	    >"$work/volumes"
	point_begin "receive, not stopped"
	check_replica
	point_end
}

# Files of volumes that are done: their inodes.
files_done() {
	awk -v done="$work/b/stores/mail/import.done" '
		BEGIN {
			while ((getline line <done) > 0) {
				split(line, f, " ")
				is_done[f[1]] = f[2] != "-"
			}
		}
		is_done[$1] { print substr($0, length($1) + 2) }' \
	    "$work/volumes" >"$work/names"
	[ ! -d "$replica" ] ||
	    find "$replica" -type f -printf '%P\t%i\n' |
	    awk -F '\t' -v names="$work/names" '
		BEGIN { while ((getline line <names) > 0) wanted[line] = 1 }
		wanted[$1]' | sort
}

check_replica() {
	[ "$(jq -r '.digest // "none"' "$work/out")" = "$digest" ] ||
	    complain "the state digest differs"
	python3 "$root/tests/scenario/tree.py" list "$replica" >"$work/got"
	cmp -s "$work/got" "$work/list" ||
	    complain "the replica is not the store"
	"$CAUSEWAY" --home "$work/b" --json status mail |
	    jq -e ".stores[0] | .role == \"standby\" and
		.digest == \"$digest\"" >/dev/null ||
	    complain "status does not show the replica"
	check_leftovers "$work/b" "$replica"
	find "$replica" -printf '%P %i %C@ %m\n' | sort >"$work/before"
	run_receive || complain "a second time it ends with $?"
	jq -e .repeated "$work/out" >/dev/null ||
	    complain "a second time it is not the same seed"
	find "$replica" -printf '%P %i %C@ %m\n' | sort |
	    cmp -s - "$work/before" || complain "a second time changes something"
}

receive_again() {
	cp "$work/b/stores/mail/import.done" "$work/import.done" 2>/dev/null ||
	    : >"$work/import.done"
	files_done >"$work/done"
	run_receive || complain "run again it ends with $?"
	[ ! -d "$replica" ] || find "$replica" -type f -printf '%P\t%i\n' |
	    sort >"$work/done.after"
	comm -23 "$work/done" "$work/done.after" | grep -q . &&
	    complain "files that were there were written again"
	check_replica
}

receive_point() {
	receive_fresh
	run_receive "$tmp/stopat" --log "$work/stopped" --kill "$1"
	status=$?
	point_begin "receive, killed at $(tail -n 1 "$work/stopped")"
	if [ "$status" -eq 137 ]; then
		stopped=$((stopped + 1))
	elif [ "$status" -ne 0 ]; then
		complain "it ends with $status"
	fi
	receive_again
	point_end
}

receive_fails() {
	error=$1 path=$2 names=$3
	shift 3
	for n in "$@"; do
		receive_fresh
		on=
		[ "${n#*+}" = "$n" ] || on=--on
		run_receive "$tmp/stopat" --path "$path" --calls "$names" \
		    --fail "${n%+}" "$error" $on
		status=$?
		point_begin "receive, $error from $names $n of $path"
		check_failure "$status"
		receive_again
		point_end
	done
}

crash_report() {
	check "$1: at least $2 points ($stopped)" [ "$stopped" -ge "$2" ]
	check "$1: every one was made good ($wrong were not)" [ "$wrong" -eq 0 ]
	stopped=0 wrong=0
}
