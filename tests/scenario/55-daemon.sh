#!/bin/sh
# The daemon: every command works while it runs, with the output and exit
# status that it has without; it survives kill -9, and there is only one.
. "$(dirname "$0")/lib.sh"
. "$here/sites.sh"
need jq age

a=$tmp/a b=$tmp/b mail=$tmp/mail
mkdir -p "$mail/cur" "$mail/new" "$mail/tmp"
i=0
while [ $i -lt 200 ]; do
	echo "message $i" >"$mail/cur/$i.M1P1.host:2,S"
	i=$((i + 1))
done

is_running() {
	site "$1" status --json | jq -e '.daemon != null'
}

# daemon_start DIR: its process number goes to DIR.pid
daemon_start() {
	"$CAUSEWAY" --home "$1" run >>"$1.log" 2>&1 </dev/null &
	echo $! >"$1.pid"
	await "the daemon of $(basename "$1") runs" is_running "$1"
}

daemon_stop() {
	kill "$(cat "$1.pid")"
	wait "$(cat "$1.pid")"
	daemon_status=$?
	rm "$1.pid"
	return $daemon_status
}
at_exit 'for pid in "$tmp"/*.pid; do
	[ -f "$pid" ] && kill -9 "$(cat "$pid")"; done 2>/dev/null'

check "a site is made" site_init "$a" metairie
check "another site is made" site_init "$b" shreveport
check "a store is declared" site "$a" store add mail "$mail"
sed -i '/^root = .*mail$/a every = 1h' "$a/causeway.conf"
check "a wrong 'every' is refused, with its line" sh -c '
	cp -a "$1" "$1.wrong"
	sed -i "s/^every = 1h/every = 0s/" "$1.wrong/causeway.conf"
	"$CAUSEWAY" --home "$1.wrong" status 2>&1 | grep -q "every = 0s"' \
    sh "$a"
# All is known of it, so that what the daemon looks at changes nothing.
check "it is scanned" site "$a" scan mail --contents
cp -a "$a" "$tmp/without"

daemon_start "$a"
await "it takes a generation at once" sh -c '
	"$CAUSEWAY" --home "$1" status --json |
	    jq -e ".daemon.stores[0].generation >= 1"' sh "$a"
check_status 6 "there is only one daemon" site "$a" run
check_status 6 "which says so" sh -c '
	"$CAUSEWAY" --home "$1" run 2>"$2/why"; status=$?
	grep -q "a daemon runs already" "$2/why" && exit $status' \
    sh "$a" "$tmp"

# What differs by nature: places, times, numbers of processes and seeds.
normal() {
	sed -e "s|$1|HOME|g" -e "s|$tmp/medium-[a-z]*|MEDIUM|g" \
	    -e 's/20[0-9T:-]*Z/TIME/g' -e '/daemon/d' -e 's/[0-9.]* s\([);]\| (\)/N s/' \
	    -e 's/"seconds":[0-9.e-]*/"seconds":N/' -e 's/[0-9.]* [kM]*B\/s/R/' \
	    -e 's/[0-9a-f]\{16,64\}/HEX/g' -e '/^  link to/d' \
	    -e 's/[0-9]* process/P process/' -e 's/[0-9.]* k\{0,1\}B in/SIZE/' \
	    -e 's/"\(bytes_written\|media_bytes\)":[0-9]*/"\1":N/g' \
	    -e '/^[a-z]*  *[0-9].*%)/d' `# progress, where it took a second` \
	    -e 's/medium 1 in HOME/medium 1/' -e 's/1 volume, .*/1 volume/' \
	    "$2"
}

# same CLAIM ARGUMENTS...: as without the daemon; MEDIUM is a place to write
same() {
	same_claim=$1
	shift
	for same_home in a without; do
		mkdir -p "$tmp/medium-$same_home"
		(
			cd "$tmp/medium-$same_home" &&
			    "$CAUSEWAY" --home "$tmp/$same_home" "$@" \
				>"$tmp/$same_home.out" 2>"$tmp/$same_home.err"
			echo "status $?" >>"$tmp/$same_home.out"
		) </dev/null
		normal "$tmp/$same_home" "$tmp/$same_home.out" \
		    >"$tmp/$same_home.normal"
		normal "$tmp/$same_home" "$tmp/$same_home.err" \
		    >>"$tmp/$same_home.normal"
	done
	check "$same_claim" diff "$tmp/a.normal" "$tmp/without.normal"
}

card=$(cat "$b.card")
echo "one more" >"$mail/new/one.more"
same "scan" scan mail
same "scan --full --contents" scan mail --full --contents
same "scan --json" scan mail --json
same "status" status
same "ls" ls mail
same "ls --mtree" ls mail --mtree
same "store list" store list
same "store list --json" store list --json
same "card" card
same "pair" pair "$card"
same "pair again" pair "$card"
same "pair --json" pair "$card" --json --at 127.0.0.1:9
same "a card that is none" pair nonsense
same "seed" seed mail --for shreveport --to .
same "seed list --json" seed list
same "seed to nowhere" seed mail --for shreveport --to nowhere
same "seed for nobody" seed mail --for nobody --to .
same "scan of no store" scan nothing
same "scan, wrongly" scan
same "scan, with an option that there is not" scan --bogus mail
same "init of what is there" init metairie
same "a store that is declared already" store add mail "$mail"
same "a command that there is not" frobnicate
check "it was the daemon that did what writes" sh -c '
	for command in scan pair seed; do
		grep -q "\`$command\` ended with status 0" "$1.log" || exit 1
	done' sh "$tmp/a"
check "the daemon has not ended meanwhile" is_running "$a"

check "its peers are in the status" sh -c '
	"$CAUSEWAY" --home "$1" status --json | jq -e "
	    .daemon.links[0].peer == \"shreveport\" and
	    .stores[0].peers[0].connected == false"' sh "$a"
mkdir "$tmp/etc"
echo x >"$tmp/etc/x"
check "a store is declared while it runs" site "$a" store add etc "$tmp/etc"
await "and soon has a generation" sh -c '
	"$CAUSEWAY" --home "$1" status etc --json |
	    jq -e ".stores[0].generation >= 1"' sh "$a"

# A relative place is the client's, not the daemon's.
mkdir "$tmp/relative"
check "a relative --to is the client's" sh -c '
	cd "$2/relative" && mkdir here &&
	    "$CAUSEWAY" --home ../a seed mail --for shreveport --to here --new &&
	    [ -d here/causeway ]' sh "$a" "$tmp"
check "commands of one store queue up" sh -c '
	for i in 1 2 3 4 5 6; do
		"$CAUSEWAY" --home "$1" scan mail --full >"$2/queue.$i" &
		pids="$pids $!"
	done
	for pid in $pids; do
		wait $pid || exit 1
	done' sh "$a" "$tmp"
check "a passphrase goes along" sh -c '
	CAUSEWAY_PASSPHRASE="not needed" \
	    "$CAUSEWAY" --home "$1" scan mail' sh "$a"
check "and is not in the log" sh -c '! grep "not needed" "$1.log"' sh "$a"
check "output that nobody reads is an error" sh -c '
	"$CAUSEWAY" --home "$1" scan mail >/dev/full 2>/dev/null
	[ $? -eq 1 ]' sh "$a"

# A daemon that dies in the midst of a seed.
dd if=/dev/urandom of="$mail/cur/big.M1P1.host:2,S" bs=1M count=60 2>/dev/null
mkdir "$tmp/medium"
site "$a" seed mail --for shreveport --to "$tmp/medium" --new \
    --volume-size 4M >"$tmp/seed.out" 2>&1 </dev/null &
client=$!
await "a seed has begun" sh -c 'find "$1" -name "*.age" | grep .' sh \
    "$tmp/medium"
kill -9 "$(cat "$a.pid")"
wait "$(cat "$a.pid")" 2>/dev/null
wait $client
check "the client of a daemon that was killed fails, or was done" \
    [ $? -le 1 ]
daemon_start "$a"
check "the seed goes on, to its end" site "$a" seed mail --for shreveport \
    --to "$tmp/medium" --volume-size 4M
check "it is whole" site "$b" pair "$(cat "$a.card")"
check "verify says so" site "$b" verify "$tmp/medium"

daemon_start "$b"
check "it is received while the daemon runs" site "$b" receive \
    "$tmp/medium" --root "$tmp/replica"
check "the replica is the store" diff -r "$mail" "$tmp/replica"
check "both have the same digest" sh -c '
	for home in "$1" "$2"; do
		"$CAUSEWAY" --home $home status mail --json |
		    jq -r ".stores[0].digest"
	done | uniq | wc -l | grep -qx 1' sh "$a" "$b"

check "SIGHUP is survived" kill -HUP "$(cat "$a.pid")"
check "it still answers" is_running "$a"
check "SIGTERM ends it with 0" daemon_stop "$a"
check "its socket is gone" [ ! -e "$a/control.sock" ]
check "and the other one" daemon_stop "$b"
check "the status says that none runs" sh -c '
	"$CAUSEWAY" --home "$1" status | grep -q "does not run"' sh "$a"
check "commands work without it again" site "$a" scan mail
check "no sanitizer and no failure spoke in the logs" sh -c '
	! grep -E "Sanitizer|runtime error|was killed|no generation" \
	    "$1.log" "$2.log"' sh "$a" "$b"
finish
