#!/bin/sh
# Daemons whose roles move in odd ways: killed in the middle of a cutover, taken
# over while nothing was lost, taken over while the fence hook fails, promoted
# twice, three sites, a link by ssh.  In each case the sites find together by
# themselves, or `status` says what a human has to do.
. "$(dirname "$0")/lib.sh"
. "$here/sites.sh"
need jq flock
at_exit 'for pid in "$tmp"/*.pid; do kill -9 "$(cat "$pid")"; done 2>/dev/null'

# store SITE FILTER: jq's word on the store
store() {
	site "$tmp/$1" status mail --json | jq -e ".stores[0] | $2"
}

says() {
	site "$tmp/$1" status mail | grep -q "$2"
}

# hook SITE NAME [COMMANDS]: notes the call, then does that
hook() {
	cat >"$tmp/$1.$2.new" <<END
#!/bin/sh
echo "$1 $2 \$CAUSEWAY_REASON" >>"$tmp/hooks"
${3:-exit 0}
END
	chmod 755 "$tmp/$1.$2.new"
	mv "$tmp/$1.$2.new" "$tmp/$1.$2"
}

up() {
	"$CAUSEWAY" --home "$tmp/$1" run >>"$tmp/$1.log" 2>&1 </dev/null &
	echo $! >"$tmp/$1.pid"
}

down() {
	kill "$(cat "$tmp/$1.pid")"
	wait "$(cat "$tmp/$1.pid")"
	down_status=$?
	rm "$tmp/$1.pid"
	return $down_status
}

same() {
	diff -r "$tmp/mail-$1" "$tmp/mail-$2"
}

for one in a b c; do
	port=$(python3 "$here/relay.py" port)
	site "$tmp/$one" init "$one" --listen "127.0.0.1:$port" >/dev/null
	echo "$port" >"$tmp/$one.port"
	site "$tmp/$one" card >"$tmp/$one.card"
	mkdir -p "$tmp/mail-$one"
	for kind in fence unfence promote demote; do
		hook $one $kind
	done
done
for one in a b c; do
	for other in a b c; do
		[ $one = $other ] || site "$tmp/$one" pair \
		    "$(cat "$tmp/$other.card")" \
		    --at "127.0.0.1:$(cat "$tmp/$other.port")" >/dev/null
	done
done
mkdir -p "$tmp/mail-a/cur" "$tmp/mail-a/new" "$tmp/mail-a/tmp"
for i in 1 2 3 4 5; do
	echo "message $i" >"$tmp/mail-a/cur/$i.M1P1.host:2,S"
done
check "a store is declared" site "$tmp/a" store add mail mail="$tmp/mail-a"
for one in b c; do
	check "$one is to follow" site "$tmp/$one" store add mail \
	    mail="$tmp/mail-$one" --follow a
done
for one in a b c; do
	{
		echo '[hooks "mail"]'
		for kind in fence unfence promote demote; do
			echo "$kind = $tmp/$one.$kind"
		done
	} >>"$tmp/$one/causeway.conf"
	sed -i "/^root = .*mail-$one/a every = 1s" "$tmp/$one/causeway.conf"
	up $one
done
await "b follows" same a b
await "c follows" same a c
await "a knows that b does" store a '.peers[0].acked_generation >= 1'

export CAUSEWAY
# A cutover's process is killed while its fence hook runs.
# until_there FILE: what a hook does that ends when the file is there
until_there() {
	echo "i=0; until [ -e $1 ] || [ \$i = 500 ]; do
	i=\$((i + 1)); sleep 0.1
done"
}
hook a fence "echo begins >>$tmp/hooks; $(until_there "$tmp/go-on")
echo ends >>$tmp/hooks"
site "$tmp/a" cutover mail --to b >"$tmp/cutover.out" 2>&1 </dev/null &
await "the fence hook runs" grep -q begins "$tmp/hooks"
check "status says that a cutover is under way" says a "cutover is under way"
site "$tmp/a" status --json >"$tmp/status"
kill -9 "$(jq '.daemon.commands[0].pid' "$tmp/status")"
# Time for the daemon to do it wrong.
sleep 1
: >"$tmp/go-on"
await "the daemon starts the service again" grep -q "unfence put back" \
    "$tmp/hooks"
check "after the fence hook that was still at it" sh -c '
	[ "$(tail -n 2 "$1" | tr "\n" ,)" = "ends,a unfence put back," ]' \
    sh "$tmp/hooks"
await "nothing is left of it" store a '.cutover == null'
check "the gate is open" site "$tmp/a" gate mail
hook a fence

# Somebody takes over while nothing is lost, and the fence hook fails.
hook a fence 'exit 3'
check_status 7 "a failover is not without confirmation, and says who lives" \
    sh -c '"$CAUSEWAY" --home "$1/b" cutover mail --primary-lost 2>"$1/why"
	status=$?
	grep -q "Site a was heard" "$1/why" && exit $status' sh "$tmp"
check "it takes over" site "$tmp/b" cutover mail --primary-lost --yes
await "a says that its service has to be stopped by hand" \
    store a '.cutover == "fence-owed"'
check "in words, too" says a "stop the mail service by hand"
check "and that b is the active site" store a '.active_site == "b"'
hook a fence
down a
up a
await "the next link runs the fence hook again" store a '.cutover == null'
await "and a, which lost nothing, is a standby again" \
    store a '.role == "standby"'
check "c follows b by itself" sh -c '
	echo new >"$1/mail-b/cur/7.M1P1.host:2,S"' sh "$tmp"
await "with what is new there" same b c
await "as a does" same b a
check "c says whom it follows" says c "standby, a replica of b"

# Back, and on to the third; whoever it was before.
await "a has all" store a '.role == "standby" and .lag_seconds < 5'
check "a cutover to the third site, typed there" site "$tmp/c" cutover mail
check "and home from there" site "$tmp/c" cutover mail --to a
await "b follows a again" store b '.active_site == "a"'
echo more >"$tmp/mail-a/cur/8.M1P1.host:2,S"
await "b has what is new" same a b
await "c has what is new" same a c

# Cut off where no daemon runs: the next command says so, and what to do.
down a
hook a fence "$(until_there "$tmp/go-on-again")"
"$CAUSEWAY" --home "$tmp/a" cutover mail --to b >"$tmp/cutover.out" 2>&1 \
    </dev/null &
killed=$!
await "the fence hook runs again" store a '.cutover == "running"'
await "the store is on the move" sh -c '! "$CAUSEWAY" --home "$1/a" gate mail' \
    sh "$tmp"
kill -9 $killed
: >"$tmp/go-on-again"
await "status says that it was cut off" store a '.cutover == "cut-off"'
check "and names the command" says a "causeway cutover mail --to a"
check "which puts it back" site "$tmp/a" cutover mail --to a
check "as the gate says" site "$tmp/a" gate mail
hook a fence
up a

# A promote hook that fails in a failover; then the same epoch twice.
for one in a b c; do
	down $one
done
hook b promote 'exit 4'
check_status 1 "a failover whose promote hook fails" \
    site "$tmp/b" cutover mail --primary-lost --yes
check "status says that nobody may be served" \
    store b '.cutover == "promote-owed"'
check_status 7 "a cutover elsewhere is refused until that is done" \
    site "$tmp/b" cutover mail
hook b promote
check "the same command ends it" \
    site "$tmp/b" cutover mail --primary-lost --yes
check "nothing is owed" store b '.cutover == null'
check "c is promoted as well" site "$tmp/c" cutover mail --primary-lost --yes
echo b >"$tmp/mail-b/cur/b.M1P1.host:2,S"
echo c >"$tmp/mail-c/cur/c.M1P1.host:2,S"
up b
up c
for one in b c; do
	await "$one says that there are two" store $one '.cutover == "split"'
	check "in words, too" says $one "SPLIT BRAIN"
done
await "and that the store stands still" sh -c '
	"$CAUSEWAY" --home "$1/b" status --json |
	    jq -e ".daemon.links[] | select(.peer == \"c\") |
	        .stores_failed[0].store == \"mail\""' sh "$tmp"
check "b is said to be right" \
    site "$tmp/b" cutover mail --primary-lost --yes
await "c gives in" store c '.role == "standby"'
await "and has what b has" same b c
check "what only c had is listed" store c \
    '.diverged[0].files == 1 and (.diverged[0].list | endswith(".txt"))'
check "in words, too" says c "1 file that only this site had"

# A link that ssh carries is one like any other.
down b
down c
mkdir "$tmp/bin"
cat >"$tmp/bin/ssh" <<END
#!/bin/sh
exec "$CAUSEWAY" --home "$tmp/b" link --stdio
END
chmod 755 "$tmp/bin/ssh"
PATH=$tmp/bin:$PATH
sed -i '/^address = /d' "$tmp/b/causeway.conf" "$tmp/c/causeway.conf"
sed -i '/^\[peer "b"\]/a address = ssh://b.example' "$tmp/c/causeway.conf"
up b
up c
linked() {
	site "$tmp/$1" status --json | jq -e ".daemon.links[] |
	    select(.peer == \"$2\") | .connected and .seconds < 60"
}
await "c is linked to b by ssh" linked c b
await "and b knows it" linked b c
echo by-ssh >"$tmp/mail-b/cur/9.M1P1.host:2,S"
await "what is new comes by itself" same b c
down c
down b

check "the stand of the clock counts for nothing within a boot" sh -c '
	sed -i "s/^\([0-9]*\) [0-9]*/\1 99999999999/" "$1/c/stores/mail/current"
	"$CAUSEWAY" --home "$1/c" status --json |
	    jq -e ".stores[0].lag_seconds | . >= 0 and . < 600"' sh "$tmp"
check "and where only a wrong one is left, no age is told" sh -c '
	sed -i "s/ [^ ]*$/ 00000000-0000-0000-0000-000000000000/" \
	    "$1/c/stores/mail/current"
	"$CAUSEWAY" --home "$1/c" status --json |
	    jq -e ".stores[0].lag_seconds == null"' sh "$tmp"
finish
