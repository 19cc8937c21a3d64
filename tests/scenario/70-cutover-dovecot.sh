#!/bin/sh
# Two sites and a client, each in a network namespace; a virtual address that
# the hooks that come with Causeway move, and the Dovecot that they stop and
# start.  The store crosses to the second site, comes home, and crosses once
# more because the first site is lost: mbsync, offlineimap and a client that
# never pauses look on.
. "$(dirname "$0")/lib.sh"
. "$here/sites.sh"
. "$here/linked.sh"
. "$here/dovecot.sh"
dovecot_need
need ip arping unshare doveadm mbsync offlineimap mtree rsync

hooks=$root/src/site/hooks
users="ada ben cleo"
vip=192.0.2.100
a=$tmp/a b=$tmp/b
at_a=$tmp/at-a at_b=$tmp/at-b # what Dovecot has of its own
store_a=$tmp/vmail-a store_b=$tmp/vmail-b
mkdir "$at_a" "$at_b" "$store_a" "$store_b" "$tmp/medium"
chmod 755 "$tmp"
chown $dovecot_owner:$dovecot_owner "$store_a" "$store_b"

# --- the network -----------------------------------------------------------

n=cw$$
at() {
	at_ns=$n$1
	shift
	ip netns exec "$at_ns" "$@"
}
net_down() {
	for s in a b c r; do
		for p in $(ip netns pids "$n$s" 2>/dev/null); do
			kill -9 "$p" 2>/dev/null
		done
		ip netns del "$n$s" 2>/dev/null
	done
}
# The bridge has a namespace, too, so that no filter of this machine sees what
# crosses it: the same addresses may be in use beside us.
net_up() {
	at_exit net_down
	ip netns add "${n}r" || return 1
	at r sh -c 'for f in /proc/sys/net/bridge/bridge-nf-call-*; do
		[ ! -e "$f" ] || echo 0 >"$f"; done'
	ip -n "${n}r" link add name bridge0 type bridge &&
	    ip -n "${n}r" link set dev bridge0 up || return 1
	i=1
	for s in a b c; do
		ip netns add "$n$s" &&
		    ip -n "${n}r" link add name to-$s type veth \
			peer name eth0 netns "$n$s" &&
		    ip -n "${n}r" link set dev to-$s master bridge0 up &&
		    ip -n "$n$s" addr add "192.0.2.$i/24" dev eth0 &&
		    ip -n "$n$s" link set eth0 up &&
		    ip -n "$n$s" link set lo up || return 1
		i=$((i + 1))
	done
}
net_up 2>"$tmp/net" || skip "no bridge or network namespaces here: $(
    head -n 1 "$tmp/net")"

# as_site a|b COMMAND...: becomes that, on that site's machine.  $boot_a is
# what a power cut leaves: another boot id.
boot_a=
as_site() {
	case $1 in
	a) as_name=metairie as_boot=$boot_a ;;
	b) as_name=shreveport as_boot= ;;
	esac
	as_ns=$n$1 as_conf=$tmp/$1.hooks
	shift
	exec ip netns exec "$as_ns" env CAUSEWAY_HOOKS_CONF="$as_conf" \
	    unshare -u -m sh -c 'hostname "$0" || exit 1
		if [ -n "$1" ]; then
			mount --bind "$1" /proc/sys/kernel/random/boot_id ||
			    exit 1
		fi
		shift
		exec "$@"' "$as_name" "$as_boot" "$@"
}
# hook a|b NAME: as Causeway would run it
hook() {
	(as_site "$1" env -i PATH="$PATH" CAUSEWAY_STORE=mail \
	    CAUSEWAY_HOOKS_CONF="$tmp/$1.hooks" "$hooks/$2")
}
# run_at a|b: the daemon of that site
run_at() {
	as_site "$1" "$CAUSEWAY" --home "$tmp/$1" run \
	    >>"$tmp/$1.log" 2>&1 </dev/null &
	echo $! >"$tmp/$1.pid"
	await "the daemon at $1 runs" daemon_answers "$tmp/$1"
}
stop_at() {
	kill "$(cat "$tmp/$1.pid")" && wait "$(cat "$tmp/$1.pid")"
}
# at_site a|b COMMAND...: a command of Causeway there
at_site() {
	at_site=$1
	shift
	(as_site "$at_site" "$CAUSEWAY" --home "$tmp/$at_site" "$@")
}
dovecot_at() {
	for p in $(ip netns pids "$n$1"); do
		case $(readlink "/proc/$p/exe") in
		*dovecot*) echo "$p" ;;
		esac
	done
}
no_dovecot_at() {
	[ -z "$(dovecot_at "$1")" ]
}
has_vip() {
	ip -n "$n$1" addr show dev eth0 | grep -q "inet $vip/"
}
vip_only_at() {
	for s in a b; do
		if [ $s = "$1" ]; then
			has_vip $s || return 1
		else
			! has_vip $s || return 1
		fi
	done
}

# --- what is looked at -----------------------------------------------------

client() {
	at c python3 "$here/crossing.py" "$@"
}
# listing NAME: of the site that has the address
listing() {
	client listing $vip $users >"$tmp/listing-$1" ||
	    fail "the mail is listed ($1)"
}
lines() {
	wc -l <"$1"
}
# gates STAGE OPEN: the gate of that site is open, that of the other one shut
gates() {
	for s in a b; do
		if [ $s = "$2" ]; then
			check "$1: the gate of $s is open" at_site $s gate mail
		else
			check_status 7 "$1: the gate of $s is shut" \
			    at_site $s gate mail
		fi
	done
}
# Dovecot's cache is no part of a store.
equal_trees() {
	eval "from_store=\$store_$1 to_store=\$store_$2"
	[ "$(status_of "$tmp/$1" digest)" = "$(status_of "$tmp/$2" digest)" ] ||
	    { echo "the digests differ"; return 1; }
	site "$tmp/$1" ls mail --mtree >"$tmp/mtree" || return 1
	mtree -f "$tmp/mtree" -p "$to_store" >"$tmp/mtree.out"
	if grep -v '^extra: .*/dovecot\.index\.cache$' "$tmp/mtree.out"; then
		return 1
	fi
	rsync -anicO --delete --exclude dovecot.index.cache \
	    "$from_store/" "$to_store/" >"$tmp/rsync.out" 2>&1 || return 1
	[ ! -s "$tmp/rsync.out" ] || { head "$tmp/rsync.out"; return 1; }
}
# eyes STAGE FROM TO
eyes() {
	check "$1: mtree and rsync find both trees equal" equal_trees "$2" "$3"
}

# --- the clients -----------------------------------------------------------

mkdir -p "$tmp/mirror" "$tmp/offline/mail" "$tmp/offline/state"
cat >"$tmp/mbsyncrc" <<END
IMAPAccount site
Host $vip
Port 143
Timeout 300
User ben
Pass secret
SSLType None
AuthMechs LOGIN

IMAPStore far
Account site

MaildirStore near
Path $tmp/mirror/
Inbox $tmp/mirror/INBOX
SubFolders Verbatim

Channel ben
Far :far:
Near :near:
Patterns *
Create Near
Expunge None
SyncState *
END
cat >"$tmp/offlineimaprc" <<END
[general]
accounts = cleo
metadata = $tmp/offline/state
maxsyncaccounts = 1
ui = basic

[Account cleo]
localrepository = near
remoterepository = far

[Repository near]
type = Maildir
localfolders = $tmp/offline/mail

[Repository far]
type = IMAP
remotehost = $vip
remoteport = 143
remoteuser = cleo
remotepass = secret
ssl = no
starttls = no
maxconnections = 1
END
run_mbsync() {
	at c mbsync -Dn -c "$tmp/mbsyncrc" ben >"$tmp/mbsync.out" 2>&1 || {
		tail -n 5 "$tmp/mbsync.out"
		return 1
	}
}
run_offlineimap() {
	at c env HOME="$tmp/offline" offlineimap -o -c "$tmp/offlineimaprc" \
	    >"$tmp/offlineimap.out" 2>&1 || {
		tail -n 5 "$tmp/offlineimap.out"
		return 1
	}
	! grep -E "ERROR|Exception|Traceback" "$tmp/offlineimap.out"
}
# Bodies that were asked for and kept (mbsync keeps none without an end of the
# header, and asks for it each time), and messages that were copied.
mbsync_fetched() {
	echo $(($(grep -ac 'UID FETCH .*BODY.PEEK\[\]' "$tmp/mbsync.out") -
	    $(grep -ac 'incomplete header; skipping' "$tmp/mbsync.out")))
}
offlineimap_fetched() {
	grep -ac 'Copy message .* far:.* -> near' "$tmp/offlineimap.out"
}
# The files themselves: what was written again has another inode or time.
files_of() {
	find "$1" -type f -name '*,U=*' -printf '%i %T@ %s %f\n' |
	    sed 's/:2,.*//' | sort
}
clients_look() {
	check "$1: mbsync runs" run_mbsync
	check "$1: offlineimap runs" run_offlineimap
	files_of "$tmp/mirror" >"$tmp/mirror-$2"
	files_of "$tmp/offline/mail" >"$tmp/offline-$2"
}
# go_on STAGE NAME: nothing is fetched again
go_on() {
	files_of "$tmp/mirror" >"$tmp/mirror-old"
	files_of "$tmp/offline/mail" >"$tmp/offline-old"
	clients_look "$1" "$2"
	check "$1: mbsync fetches nothing again ($(mbsync_fetched))" \
	    [ "$(mbsync_fetched)" -eq 0 ]
	check "$1: its files are the same ones ($(lines "$tmp/mirror-$2"))" \
	    diff "$tmp/mirror-old" "$tmp/mirror-$2"
	check "$1: offlineimap fetches nothing again ($(offlineimap_fetched))" \
	    [ "$(offlineimap_fetched)" -eq 0 ]
	check "$1: its files are the same ones ($(lines "$tmp/offline-$2"))" \
	    diff "$tmp/offline-old" "$tmp/offline-$2"
}
# unflagged USER LISTING N: the UID of the Nth from the end in INBOX
unflagged() {
	grep "^$1	INBOX	0" "$tmp/listing-$2" | grep -v Flagged |
	    tail -n "$3" | head -n 1 | cut -f 3 | sed 's/^0*//'
}
set_flagged() {
	case $1 in
	*:2,*) flag_name=$(basename "$1" | sed 's/:2,D\{0,1\}/&F/') ;;
	*) flag_name=$(basename "$1"):2,F ;;
	esac
	mv "$1" "$2/cur/$flag_name"
}
# flag_offline LISTING N: a message of ben's INBOX and one of cleo's, in the
# files of their clients.  The UIDs are left in $uid_ben and $uid_cleo.
flag_offline() {
	uid_ben=$(unflagged ben "$1" "$2") uid_cleo=$(unflagged cleo "$1" "$2")
	near=$(awk -v far="$uid_ben" '$1 == far { print $2 }' \
	    "$tmp/mirror/INBOX/.mbsyncstate")
	set_flagged "$(find "$tmp/mirror/INBOX" -name "*,U=$near" -o \
	    -name "*,U=$near:2,*")" "$tmp/mirror/INBOX" &&
	    set_flagged "$(find "$tmp/offline/mail/INBOX" \
		-name "*,U=$uid_cleo,*")" "$tmp/offline/mail/INBOX"
}
# flags_arrived OLD NEW: at those two messages, and at no other
flags_arrived() {
	diff "$tmp/listing-$1" "$tmp/listing-$2" >"$tmp/difference"
	[ "$(grep -c '^[<>]' "$tmp/difference")" -eq 4 ] &&
	    grep -q "^> ben	INBOX	0*$uid_ben	.*Flagged" \
		"$tmp/difference" &&
	    grep -q "^> cleo	INBOX	0*$uid_cleo	.*Flagged" \
		"$tmp/difference" || {
		cat "$tmp/difference"
		return 1
	}
}
# has_mail TREE USER WORD: what `crossing.py post` sent
has_mail() {
	grep -rqa "^Subject: lmtp-$2-$3" "$1" &&
	    grep -rqa "^Subject: append-$2-$3" "$1"
}
# new_mail STAGE WORD: reaches both, and nothing else does
new_mail() {
	check "$1: new mail is delivered" client post $vip "$2" $users
	check "$1: mbsync runs" run_mbsync
	check "$1: mbsync has it" has_mail "$tmp/mirror" ben "$2"
	check "$1: and fetched nothing else ($(mbsync_fetched))" \
	    [ "$(mbsync_fetched)" -eq 2 ]
	check "$1: offlineimap runs" run_offlineimap
	check "$1: offlineimap has it" has_mail "$tmp/offline/mail" cleo "$2"
	check "$1: and fetched nothing else ($(offlineimap_fetched))" \
	    [ "$(offlineimap_fetched)" -eq 2 ]
}

# --- the moves -------------------------------------------------------------

# Never are both gates open.  The first is asked once more after the second,
# since the store may have moved between the two.
watch_gates() {
	while [ -e "$tmp/watch.on" ]; do
		for s in a b a; do
			site "$tmp/$s" gate mail >/dev/null 2>&1
			printf '%s ' $?
		done
		echo
	done >"$tmp/watch"
}
both_open() {
	grep '^0 0 0' "$tmp/watch"
}
print_steps() {
	jq -r '"    steps: " + ([.steps[] |
	    "\(.name) \(.seconds * 100 | round / 100)"] | join(", "))' "$1"
}
# switchover STAGE TYPED-AT FROM TO [OPTION...]: while a client is busy
switchover() {
	stage=$1 typed=$2 from=$3 to=$4
	shift 4
	rm -f "$tmp/busy" "$tmp/busy.stop"
	touch "$tmp/watch.on"
	client busy $vip "dana$from" "$tmp/busy" >"$tmp/busy.out" 2>&1 &
	busy=$!
	await "$stage: the client is busy" [ -s "$tmp/busy" ]
	watch_gates &
	watch=$!
	check "$stage: cutover ends well" at_site "$typed" cutover mail \
	    --json "$@" || tail "$tmp/a.log" "$tmp/b.log"
	grep '^{' "$tmp/check.out" >"$tmp/cutover.json"
	touch "$tmp/busy.stop"
	rm "$tmp/watch.on"
	wait $watch
	wait $busy || fail "$stage: the client is served again: $(
	    cat "$tmp/busy.out")"
	print_steps "$tmp/cutover.json"
	check_status 1 "$stage: at no moment both gates are open ($(
	    lines "$tmp/watch") looks)" both_open
	check "$stage: for a while both are shut" grep -q '^7 7 7' "$tmp/watch"
	gates "$stage" "$to"
	check "$stage: Dovecot is gone from $from" no_dovecot_at "$from"
	check "$stage: the address is at $to alone" vip_only_at "$to"
	check "$stage: all that the busy client was told is there" \
	    client judge $vip "dana$from" "$tmp/busy"
	sed -n 's/^busy: /    &/p' "$tmp/check.out"
	check "$stage: the outage, $(jq '.pause * 100 | round / 100' \
	    "$tmp/busy") s, is below 20 s" jq -e '.pause < 20' "$tmp/busy"
}

# --- the sites -------------------------------------------------------------

make_site() {
	site_init "$1" "$2" || return 1
	sed -i "0,/^\[site\]/s//[site]\nlisten = $3:7625/" "$1/causeway.conf"
}
pair_sites() {
	site "$a" pair "$(cat "$b.card")" --at 192.0.2.2:7625 &&
	    site "$b" pair "$(cat "$a.card")" --at 192.0.2.1:7625
}
# hook_site a|b: its Dovecot and its hooks
hook_site() {
	eval "hook_dir=\$at_$1 hook_store=\$store_$1"
	mkdir -p "$hook_dir/run" "$hook_dir/state"
	chmod 755 "$hook_dir" "$hook_dir/run"
	dovecot_configure "$hook_dir" "$hook_store"
	cat >>"$hook_dir/dovecot.conf" <<END
listen = 0.0.0.0
service imap-login {
  inet_listener imap {
    port = 143
  }
}
service lmtp {
  inet_listener lmtp {
    port = 24
  }
}
END
	cat >"$tmp/$1.hooks" <<END
DOVECOT_CONF=$hook_dir/dovecot.conf
DOVECOT_STOP_SECONDS=2
VIP_ADDRESS=$vip/24
VIP_DEVICE=eth0
VIP_ANNOUNCE=1
END
	cat >>"$tmp/$1/causeway.conf" <<END

[hooks "mail"]
fence = $hooks/service-stop
unfence = $hooks/service-start
promote = $hooks/service-start
demote = $hooks/service-stop
END
}

check "the first site is made" make_site "$a" metairie 192.0.2.1
check "the second site is made" make_site "$b" shreveport 192.0.2.2
check "they trust each other" pair_sites
check "the store is declared" site "$a" store add mail "$store_a"
hook_site a
hook_site b
check "the gate is open for a store that nobody follows" at_site a gate mail
check "the hook starts Dovecot and takes the address" hook a service-start
check "mail is delivered, flagged, moved, expunged" \
    client fill $vip 240 $users
clients_look "at first" first
check "mbsync has all of it ($(mbsync_fetched))" \
    [ "$(mbsync_fetched)" -eq "$(lines "$tmp/mirror-first")" ]
check "offlineimap has all of it ($(offlineimap_fetched))" \
    [ "$(offlineimap_fetched)" -eq "$(lines "$tmp/offline-first")" ]

# --- a seed, and what follows it -------------------------------------------

check "the store is seeded" \
    site "$a" seed mail --for shreveport --to "$tmp/medium"
check "seeded: the gate of a is open" at_site a gate mail
check "the seed is received" site "$b" receive "$tmp/medium" --store mail \
    --root "$store_b"
gates "received" a
run_at a
run_at b
gates "linked" a
for user in $users; do
	check "life goes on for $user" client live $vip $user autumn
	sed -n 's/^life: /    &/p' "$tmp/check.out"
done
check "the second site catches up" at_site b sync mail
eyes "caught up" a b
clients_look "before the switchover" before
listing before
check "once more, from the first site" at_site a sync mail
eyes "synced" a b
gates "synced" a

# --- a. to the second site -------------------------------------------------

check "flags are set off-line" flag_offline before 1
switchover "switchover" a a b
listing after
check "switchover: all mailboxes are equal, line for line ($(
    lines "$tmp/listing-before"))" \
    diff "$tmp/listing-before" "$tmp/listing-after"
go_on "switchover" after
listing flagged
check "switchover: flags set off-line reach their messages alone" \
    flags_arrived after flagged
new_mail "switchover" crossed
check "the first site follows without a seed" at_site a sync mail
eyes "followed" b a
gates "followed" b

# --- b. home ---------------------------------------------------------------

check "life goes on at the second site" client live $vip ada winter
clients_look "before the way home" home
listing home
check "flags are set off-line" flag_offline home 2
switchover "home" a b a --to metairie
listing athome
check "home: all mailboxes are equal, line for line ($(
    lines "$tmp/listing-home"))" \
    diff "$tmp/listing-home" "$tmp/listing-athome"
go_on "home" athome
listing homeflagged
check "home: flags set off-line reach their messages alone" \
    flags_arrived athome homeflagged
new_mail "home" back
listing synced
asked=$(date +%s.%N)
check "the second site follows again" at_site b sync mail
eyes "home" a b
gates "home" a

# --- c. the first site is lost ---------------------------------------------

# Nothing crosses from here on.
check "the daemon of the second site ends" stop_at b
heard=$(date +%s.%N)
check "lost: mail comes in" client post $vip lost $users
for user in $users; do
	check "lost: $user flags, moves and expunges" \
	    client change $vip $user
done
clients_look "lost" lost
check "mbsync has mail that will be lost" has_mail "$tmp/mirror" ben lost
check "offlineimap has mail that will be lost" \
    has_mail "$tmp/offline/mail" cleo lost
listing lost
for p in $(ip netns pids "${n}a"); do
	kill -KILL "$p"
done
wait "$(cat "$tmp/a.pid")" 2>/dev/null
ip -n "${n}a" link set eth0 down
ip -n "${n}b" neigh flush dev eth0 # or dialling takes its full 20 s
run_at b
check_status 8 "a switchover can't be, with the first site gone" \
    at_site b cutover mail
check_status 7 "a failover is not begun without a word" \
    at_site b cutover mail --primary-lost
check_status 7 "lost: the gate of b is shut" at_site b gate mail
before=$(date +%s.%N)
check "failover" at_site b cutover mail --primary-lost --yes --json
after=$(date +%s.%N)
grep '^{' "$tmp/check.out" >"$tmp/failover.json"
print_steps "$tmp/failover.json"
# The last state that was known to be whole is of the time of that sync, or
# later, if the daemons told each other once more that nothing had changed.
check "failover: the loss reported is the loss measured" \
    jq -e --argjson asked "$asked" --argjson heard "$heard" \
    --argjson before "$before" --argjson after "$after" \
    '.lost_seconds >= $before - $heard - 1 and
	.lost_seconds <= $after - $asked + 1' "$tmp/failover.json"
jq -r --argjson heard "$heard" --argjson before "$before" \
    '"    reported \(.lost_seconds) s, measured " +
	"\($before - $heard | . * 10 | round / 10) s"' "$tmp/failover.json"
check "failover: the gate of b is open" at_site b gate mail
listing failover
sed 's/UIDNEXT [0-9]*//' "$tmp/listing-synced" >"$tmp/1"
sed 's/UIDNEXT [0-9]*//' "$tmp/listing-failover" >"$tmp/2"
check "failover: what is served is what was synced, line for line ($(
    lines "$tmp/1"))" diff "$tmp/1" "$tmp/2"
cut -f 8 "$tmp/listing-failover" | sort -u >"$tmp/there"
cut -f 8 "$tmp/listing-lost" | sort -u | comm -23 - "$tmp/there" \
    >"$tmp/missing"
check "failover: missing are the six messages that were not synced" \
    [ "$(lines "$tmp/missing")" -eq 6 ]
check "failover: new mail is delivered" client post $vip storm $users
check "failover: and more" client post $vip calm $users
listing new
check "failover: no UID is given twice, new ones are beyond all seen" \
    python3 "$here/crossing.py" beyond "$tmp/listing-before" \
    "$tmp/listing-flagged" "$tmp/listing-home" "$tmp/listing-synced" \
    "$tmp/listing-lost" "$tmp/listing-new"
sed -n 's/^UIDs: /    &/p' "$tmp/check.out"
clients_look "failover" new
for word in storm calm; do
	check "failover: new mail ($word) reaches mbsync" \
	    has_mail "$tmp/mirror" ben $word
	check "failover: new mail ($word) reaches offlineimap" \
	    has_mail "$tmp/offline/mail" cleo $word
done
# What came back with the older state (a move, an expunge) may come, too.
echo "    fetched: $(mbsync_fetched) by mbsync, $(offlineimap_fetched) by" \
    "offlineimap"
check "failover: mbsync fetches what is new, not what was there" \
    [ "$(mbsync_fetched)" -le 6 ]
check "failover: so does offlineimap" [ "$(offlineimap_fetched)" -le 6 ]
listing settled

# --- the old site returns --------------------------------------------------

# After a power cut: another boot, no virtual address, no Dovecot, no line.
ip -n "${n}a" addr flush dev eth0
cat /proc/sys/kernel/random/uuid >"$tmp/boot"
boot_a=$tmp/boot
rm -f "$at_a/run/master.pid"
gates "returned, without a line" b
# Somebody starts it all the same.
check "its Dovecot is started past the gate" hook a dovecot-start
check "and takes mail" python3 "$here/imap.py" deliver "$at_a" ada \
    "$root/tests/vectors/mail/01-plain.eml"
ip -n "${n}a" link set eth0 up
ip -n "${n}a" addr add 192.0.2.1/24 dev eth0
run_at a
is_standby() {
	[ "$(status_of "$tmp/$1" role)" = standby ]
}
await "the old site becomes a standby" is_standby a
check "returned: its Dovecot does not run" no_dovecot_at a
check_status 1 "returned: nor has it the address" has_vip a
gates "returned" b
check "returned: a sync ends well" at_site a sync mail
listing rejoined
check "returned: no client saw anything of it" \
    diff "$tmp/listing-settled" "$tmp/listing-rejoined"
check "returned: and another sync" at_site a sync mail
eyes "returned" b a
epoch=$(jq .epoch "$tmp/failover.json")
kept=$a/stores/mail/diverged/$epoch
check "returned: what it had alone is listed" test -s "$kept.txt"
# is_kept TEXT: a file with that line is there, and listed with its SHA-256
is_kept() {
	kept_file=$(grep -rlaxF -e "$1" -e "$1$(printf '\r')" "$kept")
	[ -n "$kept_file" ] || {
		echo "no file with $1"
		return 1
	}
	kept_sum=$(sha256sum <"$kept_file" | cut -d ' ' -f 1)
	grep -q " $kept_sum diverged/$epoch/$(basename "$kept_file")\$" \
	    "$kept.txt" || {
		echo "$kept_file is not listed"
		return 1
	}
}
for user in $users; do
	check "returned: $user's lost messages are kept, and listed" \
	    is_kept "Subject: lmtp-$user-lost"
	check "returned: the other one, too" \
	    is_kept "Subject: append-$user-lost"
done
check "returned: so is what was taken past the gate" is_kept "$(
    grep -m 1 '^Subject:' "$root/tests/vectors/mail/01-plain.eml")"
# Where nothing is kept ("-"), the new store has that content itself.
all_accounted() {
	site "$b" ls mail --mtree | grep -o 'sha256=[0-9a-f]*' |
	    cut -d = -f 2 | sort -u >"$tmp/held"
	awk '$4 == "-" { print $3 }' "$kept.txt" | sort -u |
	    comm -23 - "$tmp/held" | grep . && return 1
	awk '$4 != "-" { print $3, $4 }' "$kept.txt" |
	    sed "s| diverged|  $a/stores/mail/diverged|" |
	    sha256sum --check --quiet
}
check "returned: all of the list is kept, or in the new store" all_accounted
echo "    $(lines "$kept.txt") lines in diverged/$epoch.txt," \
    "$(grep -cE '/(cur|new)/' "$kept.txt") of them messages"
gates "in the end" b
check_status 1 "no sanitizer spoke in the logs" \
    grep -E "Sanitizer|runtime error|was killed" "$a.log" "$b.log"
finish
