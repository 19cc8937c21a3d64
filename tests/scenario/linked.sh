# Sourced after sites.sh: two sites with a line between them, on one machine.
#
#   daemon_start DIR             `causeway run` at a site, at a port of its own
#   daemon_stop DIR              ends it in order
#   relay_start PORT             the line to that port; $relay_port is where
#   relay_bytes                  bytes that have crossed it, both ways
#   site_link A B                B listens, and A dials it over a relay
#   same A TREE B TREE           both sites, and two others' eyes, say the
#                                trees of store "mail" are equal
#   status_of DIR FIELD          a field of store "mail" in `status --json`

linked_pids=
# Only our own: the number of one that ended may be another's by now.
linked_end() {
	for linked_pid in $linked_pids; do
		case $(ps -o ppid= -p "$linked_pid" 2>/dev/null) in
		*[!0-9]"$$" | "$$") kill -9 "$linked_pid" 2>/dev/null ;;
		esac
	done
}
at_exit linked_end

status_of() {
	site "$1" status mail --json | jq -r ".stores[0].$2"
}

daemon_answers() {
	site "$1" status --json | jq -e '.daemon != null'
}

# Somebody else may get the port that was free a moment ago: then another.
daemon_start() {
	daemon_tries=0 daemon_had=none
	while :; do
		if [ ! -f "$1.listen" ]; then
			python3 "$here/relay.py" port >"$1.listen"
			if [ "$daemon_had" = "${relay_target:-}" ]; then
				relay_target=$(cat "$1.listen")
				relay target "$relay_target" >/dev/null
			fi
		fi
		sed -i '/^listen = /d' "$1/causeway.conf"
		sed -i "0,/^\[site\]/s//[site]\nlisten = 127.0.0.1:$(
		    cat "$1.listen")/" "$1/causeway.conf"
		"$CAUSEWAY" --home "$1" run >>"$1.log" 2>&1 </dev/null &
		echo $! >"$1.pid"
		linked_pids="$linked_pids $!"
		while kill -0 "$(cat "$1.pid")" 2>/dev/null; do
			daemon_answers "$1" >/dev/null 2>&1 && return 0
			sleep 0.05
		done
		wait "$(cat "$1.pid")"
		daemon_tries=$((daemon_tries + 1))
		if [ $daemon_tries -eq 5 ]; then
			cat "$1.log"
			fail "the daemon of $(basename "$1") runs"
			return 1
		fi
		daemon_had=$(cat "$1.listen")
		rm -f "$1.listen"
	done
}

daemon_stop() {
	kill "$(cat "$1.pid")" && wait "$(cat "$1.pid")"
}

relay_start() {
	relay_target=$1
	python3 "$here/relay.py" serve "$tmp/relay" "$1" 2>"$tmp/relay.log" &
	linked_pids="$linked_pids $!"
	await "the relay runs" [ -f "$tmp/relay.port" ]
	relay_port=$(cat "$tmp/relay.port")
}

relay() {
	relay_order=$1
	shift
	python3 "$here/relay.py" "$relay_order" "$tmp/relay" "$@"
}

relay_bytes() {
	relay count | awk '{ print $1 + $2 }'
}

site_link() {
	python3 "$here/relay.py" port >"$2.listen"
	relay_start "$(cat "$2.listen")"
	site "$1" pair "$(cat "$2.card")" --at "127.0.0.1:$relay_port" &&
	    site "$2" pair "$(cat "$1.card")"
}

# What says so: the state digests, mtree by the source's listing, rsync by
# comparing all bytes.
same() {
	[ "$(status_of "$1" digest)" = "$(status_of "$3" digest)" ] || {
		echo "digests: $(status_of "$1" digest) $(status_of "$3" digest)"
		return 1
	}
	site "$1" ls mail --mtree >"$tmp/same.mtree" &&
	    mtree -p "$4" -f "$tmp/same.mtree" || return 1
	# Each lists the folders in an order of its own.
	site "$3" ls mail --mtree | sort >"$tmp/same.other" &&
	    sort "$tmp/same.mtree" | diff - "$tmp/same.other" || return 1
	rsync -anicHAXO --delete "$2/" "$4/" >"$tmp/same.rsync" 2>&1
	[ ! -s "$tmp/same.rsync" ] || {
		head "$tmp/same.rsync"
		return 1
	}
}
