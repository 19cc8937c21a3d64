#!/bin/sh
# The hooks that come with Causeway, with real parts: Dovecot is stopped and
# proven gone, a virtual address moves between two machines, the UID guard is
# understood by Dovecot, and the gate holds after a power cut.
. "$(dirname "$0")/lib.sh"
. "$here/sites.sh"
. "$here/dovecot.sh"
dovecot_need
need ip arping unshare doveadm

hooks=$root/src/site/hooks
a=$tmp/a b=$tmp/b store=$tmp/vmail
mkdir "$a" "$b" "$store"
chmod 755 "$tmp" "$a" "$b"
chown $dovecot_owner:$dovecot_owner "$store"

# configure DIR: a Dovecot of its own, for the hooks to start
configure() {
	mkdir -p "$1/run" "$1/state"
	chmod 755 "$1/run"
	dovecot_configure "$1" "$store"
	cat >"$1/hooks.conf" <<END
DOVECOT_CONF=$1/dovecot.conf
DOVECOT_STOP_SECONDS=2
END
}

# hook NAME DIR: as Causeway runs it, with nothing else in its environment
hook() {
	env -i PATH="/usr/sbin:/usr/bin:/sbin:/bin" \
	    CAUSEWAY_HOOKS_CONF="$2/hooks.conf" CAUSEWAY_STORE=mail \
	    CAUSEWAY_ROOTS="$store" CAUSEWAY_ROLE=active CAUSEWAY_EPOCH=1 \
	    CAUSEWAY_REASON=test "$hooks/$1"
}

# The processes that have anything to do with a directory, by /proc.
who_holds() {
	for p in /proc/[0-9]*; do
		case $(readlink "$p/exe") in
		*dovecot*) ;;
		*) continue ;;
		esac
		case $(cat "$p/environ" 2>/dev/null | tr '\0' '\n';
		    readlink "$p/cwd" "$p/root" "$p"/fd/* 2>/dev/null) in
		*"$1"*) echo "${p#/proc/}" ;;
		esac
	done 2>/dev/null
}
nobody_holds() {
	held=$(who_holds "$1")
	[ -z "$held" ] || {
		echo "still there:" $held
		return 1
	}
}

configure "$a"
configure "$b"
at_exit "hook dovecot-stop '$a' >/dev/null; hook dovecot-stop '$b' >/dev/null"

# --- Dovecot ---------------------------------------------------------------

check "dovecot-start starts Dovecot and waits until it is up" \
    hook dovecot-start "$a"
check "it serves" python3 "$here/imap.py" wait "$a"
check "started again, it is left as it is" hook dovecot-start "$a"
check "another instance starts beside it" hook dovecot-start "$b"

# A client that keeps its session busy is what outlives a stopped master.
busy() {
	python3 - "$here" "$1" "$2" <<'END'
import os, sys, time
sys.path.insert(0, sys.argv[1])
import imap
count = 0
box = imap.Imap(sys.argv[2], "ada")
try:
    while True:
        asked = time.time()
        box.ok(box.append("INBOX", None, None, b"Subject: x\r\n\r\nx\r\n"))
        count += 1
        with open(sys.argv[3] + ".new", "w") as f:
            f.write("%d %f\n" % (count, asked))
        os.replace(sys.argv[3] + ".new", sys.argv[3])
except Exception:
    pass
END
}
busy "$a" "$tmp/busy" &
client=$!
at_exit "kill $client 2>/dev/null"
python3 - "$tmp/busy" <<'END'
import os, sys, time
for _ in range(1200):
    try:
        if int(open(sys.argv[1]).read().split()[0]) > 20:
            break
    except (OSError, ValueError, IndexError):
        pass
    time.sleep(0.1)
END
check "a client is busy" test -s "$tmp/busy"
check "dovecot-stop ends with all of it gone" hook dovecot-stop "$a"
stopped=$(date +%s.%N)
check "no process of it is left" nobody_holds "$a/"
wait "$client"
check "nothing that was asked for after that was acknowledged" \
    awk -v stopped="$stopped" '{ exit !($2 <= stopped) }' "$tmp/busy"
check "stopped again, there is nothing to do" hook dovecot-stop "$a"
check "the other instance still serves" python3 "$here/imap.py" wait "$b"

# The master is killed: its children stay, and no number tells of them.
check "it starts again" hook dovecot-start "$a"
check "it serves again" python3 "$here/imap.py" wait "$a"
busy "$a" "$tmp/busy2" &
client=$!
at_exit "kill $client 2>/dev/null"
await "a client is busy again" test -s "$tmp/busy2"
kill -KILL "$(cat "$a/run/master.pid")"
check "processes outlive a killed master" test -n "$(who_holds "$a/")"
check "dovecot-stop finds and ends them" hook dovecot-stop "$a"
check "none is left" nobody_holds "$a/"
wait "$client"

echo "DOVECOT_CONF=$tmp/missing.conf" >"$tmp/hooks.conf"
check_status 1 "a configuration that is not there fails" \
    hook dovecot-stop "$tmp"
check_status 1 "so does a hooks.conf that is not there" \
    hook dovecot-stop "$tmp/missing"
echo "protocols = nonsense" >>"$a/dovecot.conf"
check_status 1 "a Dovecot that does not start is a failure" \
    hook dovecot-start "$a"
cp "$tmp/check.out" "$tmp/said"
check "which says why" grep -qi "protocol" "$tmp/said"
configure "$a"
check "the other instance is stopped" hook dovecot-stop "$b"

# --- the UID guard ---------------------------------------------------------

guard_tool=${GUARD_TOOL:-$(dirname "$CAUSEWAY")/guard_tool}
[ -x "$guard_tool" ] ||
    cmake --build "$(dirname "$CAUSEWAY")" --target guard_tool >/dev/null 2>&1
if [ -x "$guard_tool" ]; then
	# client COMMAND...: of ben's INBOX
	client() {
		python3 - "$here" "$a" "$@" <<'END'
import sys
sys.path.insert(0, sys.argv[1])
import imap
box = imap.Imap(sys.argv[2], "ben")
for command in sys.argv[3:]:
    verb, _, rest = command.partition(" ")
    if verb == "append":
        text = "Subject: %s\r\n\r\nx\r\n" % rest
        box.ok(box.append("INBOX", None, None, text.encode()))
    elif verb == "flag":
        box.ok(box.select("INBOX"))
        uid, flags = rest.split(" ", 1)
        box.ok(box.uid("STORE", uid, "+FLAGS", flags))
    else:
        box.ok(box.select("INBOX"))
        print(box.ok(box.status("INBOX", "(UIDNEXT UIDVALIDITY)")))
        for item in box.ok(box.uid("FETCH", "1:*",
                "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")):
            if isinstance(item, tuple):
                head = item[0].decode().replace("\\Recent", "")
                print(head.split("(", 1)[1].split(" BODY")[0],
                      item[1].decode().strip())
END
	}
	check "Dovecot starts for the guard" hook dovecot-start "$a"
	client "append one" "append two" "append three" "append four" \
	    "flag 2 (kw1 kw2)" "flag 3 (\\Flagged \\Seen)"
	client list >"$tmp/before"
	check "it is stopped" hook dovecot-stop "$a"
	# The copy lacks the last message, and knows of it only in the list.
	rm "$(grep -l 'Subject: four' "$store"/ben/cur/* "$store"/ben/new/* \
	    2>/dev/null)"
	mkdir "$tmp/guard"
	check "the mailboxes are guarded" \
	    "$guard_tool" "$tmp/guard" "$store" 2 100000
	check "a second run raises nothing" \
	    "$guard_tool" "$tmp/guard" "$store" 2 100000
	: >"$a/log"
	check "Dovecot starts with its indexes as they were" \
	    hook dovecot-start "$a"
	client "append five" list >"$tmp/after"
	check "UIDs, keywords and flags of what is there are the same" \
	    sh -c "grep 'Subject: [ot]' '$tmp/before' >'$tmp/1'
		grep 'Subject: [ot]' '$tmp/after' | diff '$tmp/1' -"
	check "UIDVALIDITY is the same" \
	    sh -c "sed -n 's/.*UIDVALIDITY \([0-9]*\).*/\1/p' '$tmp/before' |
		grep -qf - '$tmp/after'"
	check "a new message gets a UID that the old site never gave" \
	    grep -q 'UID 100005 .*Subject: five' "$tmp/after"
	check "Dovecot has nothing to complain of" dovecot_is_content "$a"
	check "it is stopped in the end" hook dovecot-stop "$a"
else
	echo "skip: guard_tool is not built ($guard_tool)"
fi

# --- the virtual address ---------------------------------------------------

# Two sites and a client on one bridge, which has a namespace of its own: the
# machine's packet filter may look at what crosses bridges in the first one.
n=cw$$
vip_down() {
	for s in a b c d; do ip netns del "$n$s" 2>/dev/null; done
}
vip_net() {
	ip netns add "${n}d" 2>/dev/null || return 1
	at_exit vip_down
	ip -n "${n}d" link add name br0 type bridge 2>/dev/null || return 1
	ip -n "${n}d" link set br0 up
	i=1
	for s in a b c; do
		ip netns add "$n$s" &&
		    ip link add "$n$s" netns "${n}d" type veth peer name eth0 \
			netns "$n$s" &&
		    ip -n "${n}d" link set "$n$s" master br0 up &&
		    ip -n "$n$s" addr add "192.0.2.$i/24" dev eth0 &&
		    ip -n "$n$s" link set eth0 up &&
		    ip -n "$n$s" link set lo up || return 1
		i=$((i + 1))
	done
}
at() {
	vip_ns=$n$1
	shift
	ip netns exec "$vip_ns" "$@"
}
vip() {
	at "$2" env CAUSEWAY_HOOKS_CONF="$tmp/vip.conf" "$hooks/$1"
}
# Whether somebody there answers, be it by a refusal.
reach() {
	at "$1" python3 - "$2" <<'END'
import socket, sys
try:
    socket.create_connection((sys.argv[1], 9), 60)
except ConnectionRefusedError:
    pass
END
}
mac_of() {
	at "$1" cat /sys/class/net/eth0/address
}
client_sends_to() {
	[ "$(ip -n "${n}c" neigh show 192.0.2.100 |
	    sed 's/.*lladdr \([^ ]*\).*/\1/')" = "$(mac_of "$1")" ]
}
if vip_net; then
	cat >"$tmp/vip.conf" <<END
VIP_ADDRESS=192.0.2.100/24
VIP_DEVICE=eth0
VIP_ANNOUNCE=1
END
	check "the bridge carries" reach c 192.0.2.1
	check "vip-up takes the address" vip vip-up a
	check "the client reaches it" reach c 192.0.2.100
	check "at the first site" client_sends_to a
	check "taken again, nothing happens" vip vip-up a
	check_status 1 "a site does not take what another one still has" \
	    vip vip-up b
	cp "$tmp/check.out" "$tmp/said"
	check "and says so" grep -q "another machine answers" "$tmp/said"
	check "vip-down gives it up" vip vip-down a
	check "given up again, nothing happens" vip vip-down a
	check "the second site takes it" vip vip-up b
	await "the client was told, without asking" client_sends_to b
	check "and reaches it" reach c 192.0.2.100
	: >"$tmp/empty.conf"
	check_status 2 "without an address nothing is done" \
	    at b env CAUSEWAY_HOOKS_CONF="$tmp/empty.conf" "$hooks/vip-down"
else
	echo "skip: no bridge or network namespaces here"
fi

# --- the gate --------------------------------------------------------------

# rebooted COMMAND...: with another boot id, as after a power cut
rebooted() {
	cat /proc/sys/kernel/random/uuid >"$tmp/boot"
	unshare -m sh -c 'mount --bind "$0" /proc/sys/kernel/random/boot_id &&
	    exec "$@"' "$tmp/boot" "$@"
}
gate="$CAUSEWAY --home $tmp/home gate"
site_init "$tmp/home" metairie >/dev/null
site_init "$tmp/other" shreveport >/dev/null
check "a store is declared" site "$tmp/home" store add mail "$store"
check "and scanned" site "$tmp/home" scan mail
check "the gate is open for a store that nobody follows" $gate mail
site_pair "$tmp/home" "$tmp/other" >/dev/null
mkdir "$tmp/medium"
check "a seed is made" \
    site "$tmp/home" seed mail --for shreveport --to "$tmp/medium"
check "a store that was served in this boot passes" $gate mail
if rebooted true 2>/dev/null; then
	check_status 7 "after a power cut it does not, before the peer is heard" \
	    rebooted $gate mail
	cp "$tmp/check.out" "$tmp/said"
	check "which says what to do" grep -q -- --force "$tmp/said"
	check_status 7 "nor in JSON" rebooted "$CAUSEWAY" --json \
	    --home "$tmp/home" gate mail
	cp "$tmp/check.out" "$tmp/said"
	check "with the word for it" \
	    jq -e '.open == false and .why == "unheard" and
		.error.code == "refused"' "$tmp/said"
	check "an operator can let it through" rebooted $gate mail --force
	check "and the boot is served from then on" \
	    unshare -m sh -c 'mount --bind "$0" /proc/sys/kernel/random/boot_id &&
		exec "$@"' "$tmp/boot" $gate mail
	check "the word of the operator is on record" \
	    grep -q '^forced 2' "$tmp/home/stores/mail/role"
	check_status 7 "but not beyond that boot" rebooted $gate mail
else
	echo "skip: no mount namespaces here"
fi
check_status 2 "a store that is not declared is a wrong call" $gate nothing

# The units, as systemd reads them.
if command -v systemd-analyze >/dev/null; then
	mkdir -p "$tmp/units/gated.service.d"
	sed "s#@CMAKE_INSTALL_FULL_BINDIR@/causeway#$CAUSEWAY#" \
	    "$root/src/site/units/causeway.service" \
	    >"$tmp/units/causeway.service"
	printf '[Service]\nExecStart=/bin/sleep 1\n' >"$tmp/units/gated.service"
	sed 's/%i/mail/' "$root/src/site/units/causeway-gate@.conf" \
	    >"$tmp/units/gated.service.d/causeway-gate.conf"
	verify() {
		SYSTEMD_UNIT_PATH="$tmp/units:" systemd-analyze verify \
		    --man=no "$tmp/units/$1" >"$tmp/verify" 2>&1 &&
		    [ ! -s "$tmp/verify" ]
	}
	check "systemd takes the daemon's unit" verify causeway.service
	check "and one behind the gate" verify gated.service
	# It would shut out every device that is no clock: disks are its work.
	check_status 1 "the daemon's unit keeps its devices" grep -Eq \
	    '^(ProtectClock|PrivateDevices|DeviceAllow|DevicePolicy)=' \
	    "$tmp/units/causeway.service"
else
	echo "skip: systemd-analyze is not installed"
fi

finish
