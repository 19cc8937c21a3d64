# Sourced after sync.sh: stops a cutover anywhere and looks whether running it
# again makes good, and whether there ever were two active sites.
#
#   cutover_begin          two sites that hold the same but for a few changes;
#                          metairie is active and serves; in $work
#   cutover_count WHO      one switchover that is not stopped: its calls are in
#                          $log, its bytes in $bytes_whole.  WHO is who is
#                          stopped: "giver" (`cutover` at the active site),
#                          "taker" (the process of the standby's daemon then),
#                          "orderer" (`cutover` at the standby), "driver" (the
#                          process of the active site's daemon then)
#   cutover_point WHO N    stops it at its Nth call, runs it again, and checks
#                          all of it; counts in $stopped, $wrong
#   cutover_hook_point WHO SITE HOOK
#                          the same, while that hook runs
#   cutover_alone          it was stopped while the fence hook ran, and then the
#                          other site can't be reached: it is put back
#   cutover_twice          typed at both sites at once
#   cutover_fails WHO ERRNO CALLS N...
#                          the Nth of these calls at the record fails instead
#   cutover_cut WHO BYTES  the line breaks behind so many bytes
#   failover_begin, failover_count, failover_point N
#                          the same for `cutover --primary-lost`, of a standby
#                          that was stopped in the midst of applying
#
# The hooks note what they do in hooks.log, in the order in which it happens
# (with the seconds since boot), keep a file in serving/ while "the service"
# runs, and look at both gates.  Two at a time are noted as BOTH.

cutover_begin() {
	sync_begin
	serving=$work/serving hooks=$work/hooks.log
	for one in "$a metairie" "$b shreveport"; do
		printf '\n[hooks "mail"]\n' >>"${one% *}/causeway.conf"
		for hook in fence unfence promote demote; do
			cutover_hook "${one#* }" $hook \
			    >"$tmp/${one#* }-$hook"
			chmod 755 "$tmp/${one#* }-$hook"
			echo "$hook = $tmp/${one#* }-$hook" \
			    >>"${one% *}/causeway.conf"
		done
	done
	# All but the last changes have crossed.
	sync_up "$b"
	site "$a" sync mail >"$work/out" 2>"$work/err" ||
	    fail "the second sync: $(cat "$work/err")"
	sync_down "$b"
	site "$b" pair "$(cat "$a.card")" --at "127.0.0.1:$relay_port" \
	    >/dev/null &&
	    site "$a" pair "$(cat "$b.card")" --at "127.0.0.1:$relay_port" \
		>/dev/null || fail "the sites know their addresses"
	for i in 1 2 3; do
		echo "Subject: $i" >"$store/hal/cur/700$i.new:2,"
	done
	printf '3 V1125288600 N9 G0\n1 :700%s.new\n' 1 \
	    >"$store/hal/dovecot-uidlist"
	rm -rf "$base/a" "$base/b" "$base/mail" "$base/copy"
	cp -a "$a" "$b" "$store" "$copy" "$base"
}

cutover_hook() {
	cat <<END
#!/bin/sh
say() {
	echo "\$(cut -d ' ' -f 1 /proc/uptime) $1 $2 \$*" >>'$hooks'
}
gate() {
	'$CAUSEWAY' --home "$work/\$1" gate mail >/dev/null 2>&1
}
say begin \$CAUSEWAY_ROLE \$CAUSEWAY_EPOCH \$CAUSEWAY_REASON
case $2 in
promote | unfence)
	: >'$serving/$1'
	[ ! -e '$serving/metairie' ] || [ ! -e '$serving/shreveport' ] ||
	    say BOTH serve
	;;
fence) rm -f '$serving/$1' ;;
esac
gates=
[ -e '$tmp/lost' ] || { gate a && gates=a; }
gate b && gates=\${gates}b
[ "\$gates" != ab ] || say BOTH gates
case $2\$gates in
promotea | promoteb | unfencea | unfenceb) ;;
promote* | unfence*) say shut ;;
esac
if [ -e '$tmp/kill-$1-$2' ]; then
	rm '$tmp/kill-$1-$2'
	say kills
	kill -9 \$PPID
fi
say end
END
}

# Who types it, whose daemon answers, and how stopat gets at whom it is about.
cutover_sides() {
	case $1 in
	giver) sync_at=$a sync_peer=$b cutover_wrap= ;;
	taker) sync_at=$a sync_peer=$b cutover_wrap=1 ;;
	orderer) sync_at=$b sync_peer=$a cutover_wrap= ;;
	driver) sync_at=$b sync_peer=$a cutover_wrap=1 ;;
	esac
}
cutover_fresh() {
	sync_fresh
	rm -rf "$serving" "$tmp"/kill-* "$tmp/lost"
	mkdir "$serving"
	: >"$serving/metairie"
	: >"$hooks"
}

# cutover_run WHO [OPTION...]: the options are stopat's
cutover_run() {
	cutover_sides "$1"
	shift
	cutover_fresh
	program=$CAUSEWAY
	if [ -n "$cutover_wrap" ] && [ $# -gt 0 ]; then
		# As daemon_start runs it.
		echo "exec '$tmp/stopat' --name causeway:link --path '$work/' \
		    $* '$CAUSEWAY' \"\$@\"" >"$tmp/wrapped"
		printf '#!/bin/sh\n' | cat - "$tmp/wrapped" >"$tmp/wrapper"
		chmod 755 "$tmp/wrapper"
		CAUSEWAY=$tmp/wrapper
		set --
	fi
	sync_up "$sync_peer"
	CAUSEWAY=$program
	[ "$sync_peer" = "$b" ] ||
	    await "the active site takes a generation" sync_has_scanned_thrice
	bytes_before=$(relay_bytes)
	if [ $# -gt 0 ]; then
		cutover_type "$tmp/stopat" --own --path "$work/" "$@"
	else
		cutover_type
	fi
}
sync_has_scanned_thrice() {
	[ "$(status_of "$a" generation)" -ge 3 ]
}
cutover_type() {
	"$@" "$CAUSEWAY" --home "$sync_at" --json cutover mail \
	    --to shreveport >"$work/out" 2>"$work/err"
}

gates() {
	site "$a" gate mail >/dev/null 2>&1 && echo metairie
	site "$b" gate mail >/dev/null 2>&1 && echo shreveport
}
active_sites() {
	[ "$(status_of "$a" role)" != active ] || echo metairie
	[ "$(status_of "$b" role)" != active ] || echo shreveport
}
# Never two: at any time.
check_never_two() {
	grep BOTH "$hooks" >"$work/both" && complain "$(head -n 1 "$work/both")"
	[ "$(gates | wc -l)" -le 1 ] || complain "both gates are open $1"
	[ "$(ls "$serving" | wc -l)" -le 1 ] || complain "both serve $1"
}
# check_one SITE: it may serve and does, and no other does.
check_one() {
	[ "$(gates)" = "$1" ] ||
	    complain "gates open: $(gates | tr '\n' ' ')instead of $1"
	[ "$(ls "$serving")" = "$1" ] ||
	    complain "serving: $(ls "$serving" | tr '\n' ' ')instead of $1"
}
# It goes on: a message that comes at the new site is at the old one.
check_follows() {
	echo "Subject: later" >"$copy/hal/cur/8001.later:2,"
	# The daemon's process may come to its point only now.
	run_sync || run_sync || complain "a sync afterwards ends with $?"
	rsync -anicHO --delete "$copy/" "$store/" >"$work/diff" 2>&1
	[ ! -s "$work/diff" ] || complain "rsync: $(head -n 3 "$work/diff")"
	[ "$(status_of "$a" digest)" = "$(status_of "$b" digest)" ] ||
	    complain "the state digests differ"
	# By now both have heard of it.
	[ "$(active_sites)" = shreveport ] ||
	    complain "active: $(active_sites | tr '\n' ' ')"
}

cutover_count() {
	cutover_run "$1" --log "$log" || {
		cat "$work/err" "$work/out"
		fail "cutover ($1) succeeds when let"
	}
	bytes_whole=$(($(relay_bytes) - bytes_before))
	cp "$log" "$log.cutover" # the daemon goes on
	point_begin "cutover of the $1, not stopped"
	check_never_two
	check_one shreveport
	check_follows
	point_end
	sync_down "$sync_peer"
	mv "$log.cutover" "$log"
}

# cutover_again STATUS: typed again, it gets there.
cutover_again() {
	check_never_two "when it was stopped"
	cutover_type || {
		echo "    once more: $(cut -c 1-250 "$work/out")"
		cutover_type || complain "run again it ends with $?"
	}
	check_never_two "at the end"
	check_one shreveport
	check_follows
	sync_down "$sync_peer"
}

# How it ended, for the table.
cutover_outcome() {
	when=$(active_sites | tr '\n' ' ')
	[ -n "$when" ] || when="nobody "
	echo "  $1: status $2, then active: ${when}serving: $(ls "$serving" |
	    tr '\n' ' ')" >>"$tmp/outcomes"
}

cutover_point() {
	cutover_run "$1" --log "$work/stopped" --kill "$2"
	status=$?
	point_begin "cutover, $1 killed at $(tail -n 1 "$work/stopped")"
	cutover_outcome "$point" $status
	# Another thread may be in a call while it is killed.
	if [ "$(wc -l <"$work/stopped")" -ge "$2" ]; then
		stopped=$((stopped + 1))
	elif [ "$status" -ne 0 ]; then
		complain "it ends with $status"
	fi
	cutover_again
	point_end
}

cutover_hook_point() {
	rm -f "$tmp"/kill-*
	cutover_sides "$1"
	# A slow machine may lose its line before it comes to the hook.
	for try in 1 2 3; do
		cutover_fresh
		: >"$tmp/kill-$2-$3"
		sync_up "$sync_peer"
		[ "$sync_peer" = "$b" ] || await \
		    "the active site takes a generation" sync_has_scanned_thrice
		cutover_type
		status=$?
		[ $try -lt 3 ] && ! grep -q kills "$hooks" || break
		sync_down "$sync_peer"
	done
	point_begin "cutover ($1), killed in the $3 hook of $2"
	cutover_outcome "$point" $status
	grep -q kills "$hooks" && stopped=$((stopped + 1))
	cutover_again
	point_end
}

cutover_alone() {
	cutover_sides giver
	cutover_fresh
	: >"$tmp/kill-metairie-fence"
	sync_up "$b"
	cutover_type
	status=$?
	sync_down "$b"
	point_begin "cutover, killed in the fence hook, and the line is gone"
	cutover_outcome "$point" $status
	grep -q kills "$hooks" && stopped=$((stopped + 1))
	[ -z "$(gates)" ] || complain "a gate is open"
	cutover_type
	[ $? -eq 8 ] || complain "run again it does not end with 8"
	check_never_two "at the end"
	check_one metairie
	# Once there is a line it can be moved all the same.
	sync_up "$b"
	cutover_again
	point_end
}

# Through the daemons, which both run.
cutover_twice() {
	cutover_sides orderer
	cutover_fresh
	sync_up "$a"
	daemon_start "$b"
	site "$a" pair "$(cat "$b.card")" --at "127.0.0.1:$(cat "$b.listen")" \
	    >/dev/null || fail "the site knows an address"
	point_begin "two cutovers at once"
	"$CAUSEWAY" --home "$a" --json cutover mail --to shreveport \
	    >"$work/out2" 2>&1 &
	twin=$!
	cutover_type
	status=$?
	wait "$twin"
	cutover_outcome "$point" "$status $?"
	stopped=$((stopped + 1))
	check_never_two "when both have ended"
	cutover_type || complain "run again it ends with $?"
	check_never_two "at the end"
	check_one shreveport
	[ "$(grep -c 'promote begin' "$hooks")" -eq 1 ] ||
	    complain "the promote hook was run more than once"
	sync_down "$b"
	check_follows
	sync_down "$sync_peer"
	point_end
}

cutover_fails() {
	who=$1 error=$2 names=$3
	shift 3
	for n in "$@"; do
		on=
		[ "${n#*+}" = "$n" ] || on=--on
		cutover_run "$who" --path stores/mail/role --calls "$names" \
		    --fail "${n%+}" "$error" $on
		status=$?
		point_begin "cutover, $error from $names $n of the $who's role"
		cutover_outcome "$point" $status
		check_never_two "after the failure"
		if [ "$status" -ne 0 ]; then
			stopped=$((stopped + 1))
			check_message
		fi
		# The rest without it.
		[ -z "$cutover_wrap" ] || [ -z "$on" ] || {
			sync_down "$sync_peer"
			sync_up "$sync_peer"
		}
		cutover_again
		point_end
	done
}
# What failed, and either that all is as before, or what to do.
check_message() {
	message=$(jq -r '.error.message // ""' "$work/out")
	case $message in
	*role*) ;;
	*) complain "it does not name the record: $message" ;;
	esac
	case $message in
	*"served at this site again"*)
		check_one metairie
		;;
	*again* | *"by hand"*) ;;
	*) complain "it does not say what to do: $message" ;;
	esac
}

cutover_cut() {
	cutover_sides "$1"
	cutover_fresh
	sync_up "$sync_peer"
	[ "$sync_peer" = "$b" ] ||
	    await "the active site takes a generation" sync_has_scanned_thrice
	relay cut "$2" >/dev/null
	cutover_type
	status=$?
	point_begin "cutover ($1), the line breaks after $2 bytes"
	cutover_outcome "$point" $status
	[ "$status" -eq 0 ] || stopped=$((stopped + 1))
	# The other end finds out by itself.
	cutover_again
	point_end
}

# ---- failover ----

# The standby was stopped when it applied half of a round.
failover_begin() {
	cutover_sides giver
	cutover_fresh
	python3 "$root/tests/crash/round.py" change "$store" 1 ||
	    fail "the changes are made"
	sync_up "$a"
	await "the active site takes a generation" sync_has_scanned_thrice
	sync_at=$b
	run_sync "$tmp/stopat" --log "$log" --kill 100000 --path "$work/"
	sync_down "$a"
	n=$(grep -n 'renameat2.*copy' "$log" | tail -n 40 | head -n 1 |
	    cut -d : -f 1)
	[ -n "$n" ] || n=$(($(wc -l <"$log") * 3 / 4))
	cutover_fresh
	python3 "$root/tests/crash/round.py" change "$store" 1
	sync_up "$a"
	await "the active site takes a generation" sync_has_scanned_thrice
	run_sync "$tmp/stopat" --log "$log" --kill "$n" --path "$work/"
	[ $? -eq 137 ] || fail "the standby is stopped while it applies"
	echo "the standby is stopped at $(tail -n 1 "$log")"
	sync_down "$a"
	site "$a" pair "$(cat "$b.card")" --at "127.0.0.1:$relay_port" \
	    >/dev/null || fail "the site knows an address"
	rm -rf "$base/a" "$base/b" "$base/mail" "$base/copy"
	cp -a "$a" "$b" "$store" "$copy" "$base"
}
failover_fresh() {
	cutover_fresh
	rm "$serving/metairie"
	: >"$tmp/lost"
}
failover_type() {
	"$@" "$CAUSEWAY" --home "$b" --json cutover mail --primary-lost --yes \
	    >"$work/out" 2>"$work/err"
}
# What it came to, but for times and signatures.
failover_result() {
	(cd "$copy" && find . -type f ! -path '*/tmp/*' -exec sha256sum {} + |
	    sort)
}
failover_check() {
	[ "$(status_of "$b" role)" = active ] ||
	    complain "the standby is $(status_of "$b" role)"
	site "$b" gate mail >/dev/null 2>&1 || complain "its gate is shut"
	[ "$(ls "$serving")" = shreveport ] || complain "nobody serves"
	failover_result >"$work/result"
	cmp -s "$work/result" "$tmp/result" ||
	    complain "the tree is another: $(diff "$work/result" "$tmp/result" |
	    head -n 3)"
	# The old site comes back, and is told.
	sync_at=$a
	sync_up "$b"
	run_sync || complain "the old site's sync ends with $?"
	check_never_two "when the old site is back"
	check_one shreveport
	[ "$(active_sites)" = shreveport ] ||
	    complain "active: $(active_sites | tr '\n' ' ')"
	rsync -anicHO --delete "$copy/" "$store/" >"$work/diff" 2>&1
	[ ! -s "$work/diff" ] || complain "rsync: $(head -n 3 "$work/diff")"
	sync_down "$b"
}
failover_count() {
	failover_fresh
	failover_type "$tmp/stopat" --own --path "$work/" --log "$log" || {
		cat "$work/err" "$work/out"
		fail "the failover succeeds when let"
	}
	failover_result >"$tmp/result"
	point_begin "failover, not stopped"
	failover_check
	point_end
}
failover_point() {
	failover_fresh
	failover_type "$tmp/stopat" --own --path "$work/" \
	    --log "$work/stopped" --kill "$1"
	status=$?
	point_begin "failover, killed at $(tail -n 1 "$work/stopped")"
	echo "  $point: status $status, then $(status_of "$b" role)" \
	    >>"$tmp/outcomes"
	[ "$status" -ne 137 ] || stopped=$((stopped + 1))
	failover_type || complain "run again it ends with $?"
	failover_check
	point_end
}
