# Sourced after lib.sh, sites.sh, linked.sh and crash.sh: stops a sync anywhere
# and looks whether running it again makes good.
#
#   sync_begin        two sites with a copy each, and a round of changes at the
#                     active one that has not crossed; in $work
#   sync_count WHO    one sync that is not stopped: its calls are in $log, its
#                     bytes in $bytes_whole.  WHO is who runs it, and is
#                     stopped: "source" (the active site, `sync` there, to the
#                     standby's daemon) or "replica" (the standby, `sync` there,
#                     from the active site's daemon)
#   sync_point WHO N  stops it at its Nth call, runs it again, and checks all
#                     of it; counts in $stopped, $wrong
#   sync_follower_point N
#                     `sync` at the active site, and the daemon's process at
#                     the standby that talks to it is stopped at its Nth call
#   sync_cut WHO SHARE
#                     the line breaks after that share (of 1000) of the bytes

# What may be sent again: what was in the buffers of the line and never read
# (four of 64 KiB, which the kernel doubles), the rows that were not yet
# committed with their small contents (at most 32 KiB each: some 200 KB of this
# round's 3.5 MB), and what waited in memory to be written, which is little
# where the line is slower than the disk.  A process whose calls are watched
# writes slowly, so the line has to be slow, too.
bytes_again=$((640 * 1024))

# In a network of our own those buffers stay small; without, what was never read
# may be megabytes.
if [ -z "${causeway_netns:-}" ] && unshare -n true 2>/dev/null; then
	rm -rf "$tmp"
	export causeway_netns=1
	exec unshare -n sh "$0" "$@"
fi
if [ -n "${causeway_netns:-}" ]; then
	ip link set lo up
	echo "4096 65536 65536" >/proc/sys/net/ipv4/tcp_rmem
	echo "4096 65536 65536" >/proc/sys/net/ipv4/tcp_wmem
else
	bytes_again=$((8 * 1024 * 1024))
fi

sync_place() {
	need cc python3 jq sqlite3 rsync
	cc -O2 -o "$tmp/stopat" "$root/tests/tools/stopat.c" 2>"$tmp/cc" ||
	    skip "tests/tools/stopat.c does not build"
	"$tmp/stopat" true
	[ $? -eq 77 ] && skip "the kernel has no seccomp notifications"
	work=$tmp/work base=$tmp/base
	mkdir "$work"
	mount -t tmpfs -o size=1g,mode=700 causeway-test "$work" 2>/dev/null &&
	    at_exit "umount -l '$work'"
	a=$work/a b=$work/b store=$work/mail copy=$work/copy log=$work/log
	relay_start 9
	relay rate 4000000 >/dev/null
}

sync_begin() {
	[ -n "${work:-}" ] || sync_place
	rm -rf "$base" "$work"/*
	mkdir "$base"
	python3 "$root/tests/crash/store.py" "$store" ||
	    fail "the store is made"
	mkdir "$copy" && chmod --reference="$store" "$copy"
	for one in a b; do
		python3 "$here/relay.py" port >"$work/$one.listen"
	done
	site_init "$a" metairie >/dev/null &&
	    site_init "$b" shreveport >/dev/null &&
	    site "$a" pair "$(cat "$b.card")" --at "127.0.0.1:$relay_port" \
		>/dev/null &&
	    site "$b" pair "$(cat "$a.card")" >/dev/null &&
	    site "$a" store add mail "$store" >/dev/null &&
	    site "$b" store add mail "mail=$copy" --follow metairie \
		>/dev/null || fail "the sites are made"
	sync_up "$b"
	site "$a" sync mail >"$work/out" 2>"$work/err" ||
	    fail "a first sync: $(cat "$work/err")"
	sync_down "$b"
	site "$b" pair "$(cat "$a.card")" --at "127.0.0.1:$relay_port" \
	    >/dev/null || fail "the standby knows an address"
	cp -a "$store" "$base/old"
	python3 "$root/tests/crash/round.py" change "$store" ||
	    fail "the changes are made"
	cp -a "$a" "$b" "$store" "$copy" "$base"
}

sync_fresh() {
	rm -rf "$a" "$b" "$store" "$copy"
	cp -a "$base/a" "$base/b" "$base/mail" "$base/copy" "$work"
}

# The daemon of a site, and the line leads to it.  It has no address to dial.
sync_up() {
	: >"$1.log"
	sed -i '/^address = /d' "$1/causeway.conf"
	daemon_start "$1" && relay target "$(cat "$1.listen")" >/dev/null
}
# Where stopat runs it, the daemon is its child.
sync_down() {
	kill "$(cat "$1/lock")" 2>/dev/null
	wait "$(cat "$1.pid")" 2>/dev/null
}

# Who runs it, and whose daemon answers.
sync_sides() {
	case $1 in
	source) sync_at=$a sync_peer=$b ;;
	replica) sync_at=$b sync_peer=$a ;;
	esac
}
# At the active site the daemon begins with a generation of its own: it is to
# be done, or the bytes would not be the same each time.
sync_prepare() {
	sync_sides "$1"
	sync_fresh
	sync_up "$sync_peer"
	[ "$1" = source ] ||
	    await "the active site takes a generation" sync_has_scanned
	bytes_before=$(relay_bytes)
}
sync_has_scanned() {
	[ "$(status_of "$a" generation)" -ge 2 ]
}
run_sync() {
	"$@" "$CAUSEWAY" --home "$sync_at" --json sync mail \
	    >"$work/out" 2>"$work/err"
}

# The sites are equal, by everybody's word, and nothing is lost or left over.
check_synced() {
	[ "$(status_of "$a" digest)" = "$(status_of "$b" digest)" ] ||
	    complain "the state digests differ"
	rsync -anicHO --delete "$store/" "$copy/" >"$work/diff" 2>&1
	[ ! -s "$work/diff" ] || complain "rsync: $(head -n 5 "$work/diff")"
	python3 "$root/tests/crash/round.py" kept "$base/old" "$copy" \
	    "$b/stores/mail/history" >"$work/lost" ||
	    complain "lost: $(head -n 5 "$work/lost")"
	run_sync || complain "once more it ends with $?"
	jq -e '.entries == 0' "$work/out" >/dev/null ||
	    complain "once more it has something to do"
	# What is staged and not needed goes with the next generation.
	echo "Subject: last" >"$store/hal/cur/9999.last"
	run_sync || complain "a last change: it ends with $?"
	[ -f "$copy/hal/cur/9999.last" ] || complain "the last change is not there"
	find "$a/stores" "$b/stores" "$copy" -type f \
	    \( -path '*/staging/*' -o -name '*.tmp' -o -name '.causeway*' \) \
	    ! -path '*/staging/boot' >"$work/leftovers"
	[ ! -s "$work/leftovers" ] ||
	    complain "left over: $(head -n 5 "$work/leftovers")"
}

sync_count() {
	sync_prepare "$1"
	run_sync "$tmp/stopat" --log "$log" --path "$work/" || {
		cat "$work/err"
		fail "sync succeeds when let"
	}
	bytes_whole=$(($(relay_bytes) - bytes_before))
	point_begin "sync of the $1, not stopped"
	check_synced
	point_end
	sync_down "$sync_peer"
}

sync_again() {
	run_sync || complain "run again it ends with $?"
	bytes=$(($(relay_bytes) - bytes_before))
	[ "$bytes" -le $((bytes_whole + bytes_again)) ] ||
	    complain "both runs took $bytes bytes, one takes $bytes_whole"
	[ "$bytes" -le "${bytes_most:=0}" ] || bytes_most=$bytes
	check_synced
	sync_down "$sync_peer"
}

sync_point() {
	sync_prepare "$1"
	run_sync "$tmp/stopat" --log "$work/stopped" --kill "$2" \
	    --path "$work/"
	status=$?
	point_begin "sync of the $1, killed at $(tail -n 1 "$work/stopped")"
	if [ "$status" -eq 137 ]; then
		stopped=$((stopped + 1))
	elif [ "$status" -ne 0 ]; then
		complain "it ends with $status"
	fi
	sync_again
	point_end
}

sync_follower_point() {
	sync_sides source
	sync_fresh
	# As daemon_start does it, and stopat between.
	printf '%s\n' '#!/bin/sh' "exec '$tmp/stopat' --name causeway:link \
	    --kill $1 --log '$work/stopped' --path '$work/' '$CAUSEWAY' \"\$@\"" \
	    >"$tmp/stopped-causeway"
	chmod 755 "$tmp/stopped-causeway"
	program=$CAUSEWAY
	CAUSEWAY=$tmp/stopped-causeway
	sync_up "$b"
	CAUSEWAY=$program
	bytes_before=$(relay_bytes)
	run_sync
	status=$?
	point_begin "follower's process, killed at $(tail -n 1 "$work/stopped")"
	case $status in
	0)
		# The second run comes as far as that.
		run_sync
		[ $? -eq 0 ] || stopped=$((stopped + 1))
		;;
	8) stopped=$((stopped + 1)) ;;
	*) complain "it ends with $status" ;;
	esac
	sync_again
	point_end
}

sync_cut() {
	sync_prepare "$1"
	relay cut $((bytes_whole * $2 / 1000)) >/dev/null
	run_sync
	status=$?
	point_begin "sync of the $1, the line breaks at $2/1000"
	[ "$status" -eq 0 ] || stopped=$((stopped + 1))
	sync_again
	point_end
}
