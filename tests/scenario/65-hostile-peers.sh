#!/bin/sh
# Peers that are hostile: strangers, and a paired site that was taken over.
# tests/tools/fakepeer.c is the latter; it holds the other site's home.  The
# victim is the active site once, the standby once, as the daemon and as single
# commands, with sanitizers.  Whatever it is told: it ends in bounded time and
# memory with the right status, writes nothing outside its roots, and the next
# honest session works.
[ -z "${CAUSEWAY_DEV:-}" ] || CAUSEWAY=$CAUSEWAY_DEV
. "$(dirname "$0")/lib.sh"
. "$here/sites.sh"
. "$here/linked.sh"
need jq rsync openssl python3

: "${FAKEPEER:=$(dirname "$CAUSEWAY")/fakepeer}"
[ -x "$FAKEPEER" ] ||
    cmake --build "$(dirname "$CAUSEWAY")" --target fakepeer >/dev/null 2>&1
[ -x "$FAKEPEER" ] || skip "fakepeer is not built ($FAKEPEER)"
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}quarantine_size_mb=4"
export LSAN_OPTIONS="${LSAN_OPTIONS:-suppressions=$root/tests/lsan.supp:print_suppressions=0}"

a=$tmp/a b=$tmp/b mail=$tmp/store copy=$tmp/copy canary=$tmp/canary
mkdir -p "$mail/cur" "$mail/new" "$mail/tmp" "$copy" "$canary/sub"
echo precious >"$canary/file"
for i in 1 2 3 4 5 6 7 8; do
	echo "message $i" >"$mail/cur/$i.M1P1.host:2,S"
done
head -c 600000 /dev/urandom >"$mail/large"

site_init "$a" metairie >/dev/null
site_init "$b" shreveport >/dev/null
site_pair "$a" "$b" >/dev/null
site "$a" store add mail "mail=$mail" >/dev/null
chmod --reference="$mail" "$copy"
site "$b" store add mail "mail=$copy" --follow metairie >/dev/null
(cd "$tmp" && find canary -printf '%p %y %s %T@ %i\n' | sort) \
    >"$tmp/canary.before"

# meet A B: A's daemon serves, B syncs once, both trees are the same
meet() {
	daemon_start "$1"
	site "$2" pair "$(cat "$1.card")" --at "127.0.0.1:$(cat "$1.listen")" \
	    >/dev/null
	site "$2" sync mail || {
		meet_status=$?
		tail -n 5 "$1.log"
		daemon_stop "$1"
		return $meet_status
	}
	daemon_stop "$1" && rsync -anicO --delete "$mail/" "$copy/" |
	    tee "$tmp/differs" && [ ! -s "$tmp/differs" ]
}

check "the replica is made" meet "$a" "$b"

# ---- silence takes longest: it goes on beside all the rest ----

# A copy of both homes and trees, for victims that are busy for a minute.
quiet=$tmp/quiet
mkdir "$quiet"
for part in a b; do
	cp -a "$tmp/$part" "$quiet/$part"
	sed -i "s|$tmp/\(store\|copy\)|$quiet/\1|" "$quiet/$part/causeway.conf"
done
cp -a "$mail" "$copy" "$quiet/"
# silent HOME VICTIM ATTACK: in the background; what came of it into a file
silent() {
	(
		cp -a "$quiet" "$quiet.$1.$3"
		sed -i "s|$quiet/|$quiet.$1.$3/|" "$quiet.$1.$3"/?/causeway.conf
		"$FAKEPEER" --home "$quiet.$1.$3/$1" --seconds 110 "$3" -- \
		    "$CAUSEWAY" --home "$quiet.$1.$3/$2" link --stdio \
		    >"$tmp/silent.$1.$3" 2>&1
	) &
	silent_pids="${silent_pids:-} $!"
}
silent a b handshake-silence
silent b a handshake-silence
silent a b hello-silence
silent b a hello-silence
silent a b frame-silence
silent b a frame-silence
silent a b plan-silence
silent a b data-silence

# The active site was taken over, and holds the store in the midst of a plan
# for as long as it likes: it does not keep the standby from taking over.
(
	cp -a "$quiet" "$quiet.hold"
	sed -i "s|$quiet/|$quiet.hold/|" "$quiet.hold"/?/causeway.conf
	daemon_start "$quiet.hold/b"
	"$FAKEPEER" --home "$quiet.hold/a" --seconds 70 \
	    --dial "127.0.0.1:$(cat "$quiet.hold/b.listen")" hold \
	    >"$tmp/held" 2>&1 &
	await "the store is held" grep -q "heard WANT" "$tmp/held"
	site "$quiet.hold/b" cutover mail --primary-lost --yes \
	    >"$tmp/held.cutover" 2>&1
	echo "status $?" >>"$tmp/held.cutover"
	daemon_stop "$quiet.hold/b"
) &
silent_pids="$silent_pids $!"

# ---- strangers, at the daemon ----

daemon_start "$b"
port=$(cat "$b.listen")
python3 "$here/strangers.py" "$port" >"$tmp/strangers" 2>&1
check "strangers' bytes are answered by no store's or site's name" sh -c '
	! grep -aE "mail|shreveport|metairie|not ok" "$1" && grep -q "^ok" "$1"' \
    sh "$tmp/strangers"
openssl s_client -connect "127.0.0.1:$port" -tls1_2 </dev/null \
    >"$tmp/tls12" 2>&1
check "TLS 1.2 is refused" grep -q "alert protocol version\|Cipher is (NONE)" \
    "$tmp/tls12"
openssl s_client -connect "127.0.0.1:$port" -tls1_3 </dev/null \
    >"$tmp/tls13" 2>&1
check "a client without a key gets no session" sh -c '
	! grep -aE "mail|shreveport" "$1"' sh "$tmp/tls13"

# A relay keeps what an honest session sent, and plays it again.
python3 "$here/record.py" "$port" "$tmp/recorded" >"$tmp/record.port" &
linked_pids="$linked_pids $!"
await "the recorder listens" [ -s "$tmp/record.port" ]
site "$a" pair "$(cat "$b.card")" \
    --at "127.0.0.1:$(cat "$tmp/record.port")" >/dev/null
check "a session is recorded" site "$a" sync mail
await "it is kept" [ -s "$tmp/recorded" ]
check "played again, it is not taken" python3 "$here/record.py" play "$port" \
    "$tmp/recorded"
check "nor are its names in the clear" sh -c '
	! grep -aqE "shreveport|metairie|M1P1|mail/cur" "$1"' sh "$tmp/recorded"

check "a key that is not paired gets no frame" sh -c '
	"$1" --home "$2" --key --dial "127.0.0.1:$3" frame-unknown >"$4"
	! grep -q "heard" "$4" && grep -q "does not know our key" "$4"' \
    sh "$FAKEPEER" "$a" "$port" "$tmp/stranger"
await "the log names the key" grep -q "none that we know" \
    "$b.log"

# ---- the paired site, at the daemon ----

# at_daemon ATTACK WORDS: by A's key; the log says WORDS
at_daemon() {
	rm -f "$b"/stores/mail/incoming.sqlite*
	"$FAKEPEER" --home "$a" --dial "127.0.0.1:$port" --seconds "${wait:-60}" \
	    "$1" ${arg:-} >"$tmp/attack" 2>&1
	at_status=$?
	await "$1: the log says $2" grep -qE "$2" "$b.log" || {
		sed 's/^/    /' "$tmp/attack" | tail -n 4
		tail -n 3 "$b.log" | sed 's/^/    /'
		return
	}
	[ -n "${wait:-}" ] ||
	    check_status 0 "daemon: $1: it hangs up" [ $at_status -eq 0 ]
}

at_daemon hello-garbage "no message"
at_daemon hello-optional "type 200 instead of HELLO"
at_daemon path-up "leads elsewhere"
at_daemon row-digest "not what its digest says"
at_daemon data-jump "byte 99000"
at_daemon end-digest "state digest differs"
wait=5 at_daemon epoch-unpaired "begun by a site that is not paired"
wait=5 at_daemon epoch-unsigned "does not show who began it"
wait=5 at_daemon frame-pings "a visit of metairie"
"$FAKEPEER" --home "$a" --dial "127.0.0.1:$port" --seconds 60 hold \
    >"$tmp/hold" 2>&1 &
hold=$!
linked_pids="$linked_pids $hold"
await "a peer holds the store in the midst of a plan" grep -q "heard WANT" \
    "$tmp/hold"
check "the daemon still answers" site "$b" status mail
kill $hold 2>/dev/null
check "the daemon lives through it all" daemon_stop "$b"

# ---- the paired site, at single commands ----

# attack HOME VICTIM STATUS WORDS ATTACK [ARG]
attack() {
	attack_home=$1 attack_victim=$2 attack_want=$3 attack_words=$4
	shift 4
	attack_role=follower
	[ "$attack_home" = "$b" ] && attack_role=source
	# A moment for what is to be seen by then; where it was not, a while.
	for attack_wait in "${wait:-15}" 60; do
		"$FAKEPEER" --home "$attack_home" --seconds "$attack_wait" \
		    "$@" -- "$CAUSEWAY" --home "$attack_victim" link --stdio \
		    >"$tmp/attack" 2>&1
		attack_got=$?
		[ $attack_got -ne 99 ] &&
		    grep -qE "$attack_words" "$tmp/attack" && break
	done
	attack_mib=$(sed -n 's/^victim: \([0-9]*\) MiB.*/\1/p' "$tmp/attack")
	lib_checks=$((lib_checks + 1))
	if [ "$attack_got" -eq "$attack_want" ] &&
	    grep -qE "$attack_words" "$tmp/attack" &&
	    ! grep -qE "Sanitizer|runtime error" "$tmp/attack" &&
	    [ "${attack_mib:-999}" -lt 256 ]; then
		echo "ok - $attack_role: $* ($attack_mib MiB)"
		return 0
	fi
	lib_failed=$((lib_failed + 1))
	echo "not ok - $attack_role: $*"
	echo "    status $attack_got, expected $attack_want; \"$attack_words\""
	tail -n 12 "$tmp/attack" | cut -c 1-300 | sed 's/^/    /'
}

# follower STATUS WORDS ATTACK [ARG]; source the same
# What an attack left collected would be in the way of the next one's.
follower() {
	[ -n "${keep:-}" ] || rm -f "$b"/stores/mail/incoming.sqlite*
	attack "$a" "$b" "$@"
}

source_() {
	attack "$b" "$a" "$@"
}

follower 4 "type 200 instead of HELLO" hello-optional
follower 4 "began with START" hello-other
follower 4 "versions 7 to 9" hello-version
follower 4 "teleport" hello-mandatory
follower 4 "HELLO twice" hello-twice
follower 4 "count of roots" hello-roots
follower 4 "type 99" frame-unknown
follower 4 "from the peer" frame-garbage
follower 4 "zstd" frame-bomb
follower 4 "never named" frame-store
follower 7 'says: .xc2.x9b2J' frame-words
for name in up absolute double trailing nul-dir; do
	follower 4 "leads elsewhere" path-$name
done
for name in dots dot slash nul empty; do
	follower 4 "a name of" path-$name
done
follower 4 "malformed root" path-root
follower 4 "malformed root" path-top
wait=1 follower 0 "START since [0-9]* all 1" path-symlink "$canary"
check "the replica is mended" meet "$a" "$b"
keep=1
wait=1 follower 0 "START since [0-9]* all 1" path-symlink-at-once "$canary"
wait=1 follower 0 "START since [0-9]* all 1" path-file-is-dir
wait=1 follower 0 "START since" path-deep
check "the replica is mended again" meet "$a" "$b"
keep=
wait=1 follower 0 "heard ACK" path-loop
mv "$copy/new" "$tmp/new.kept"
ln -s "$canary/sub" "$copy/new"
follower 4 "is gone" path-planted mail/new
check "nothing came through a symlink that was planted" sh -c '
	[ -z "$(ls -A "$1")" ]' sh "$canary/sub"
rm -rf "$copy/new"
mv "$tmp/new.kept" "$copy/new"
echo "touch" >"$mail/new/next.M9P9.host"
check "the replica is mended once more" meet "$a" "$b"

follower 4 "size of a content" row-short
follower 4 "size of a content" row-long
follower 4 "not what its digest says" row-digest
follower 4 "owner 77" row-owner
wait=1 follower 0 "heard WANT" row-huge
follower 4 "order of generations" row-backward
wait=1 follower 0 "heard START" row-brief
wait=1 follower 0 "heard POLL" data-short
follower 4 "got more than that" data-long
follower 4 "byte 99000" data-jump
follower 4 "not asked" data-from
follower 4 "size of a payload" data-endless
wait=2 follower 0 "all 1" data-wrong
wait=2 follower 0 "all 1" data-gone
follower 4 "never named" data-nobody
follower 4 "another size" chunks-sum large
follower 4 "not cut" chunks-over large
follower 4 "not cut" chunks-tiny large
follower 4 "malformed" chunks-order large
follower 4 "chunks were asked" chunks-data large
follower 4 "went back" end-backward
follower 4 "did not mend it" end-digest
follower 4 "not asked for" list-unasked
follower 4 "leads elsewhere" list-up
wait=2 follower 0 "START" flood-rows
wait=2 follower 0 "START" flood-plans
wait=2 follower 0 "START" flood-replies
wait=2 follower 0 "HELLO" frame-pings
wait=1 follower 0 "not paired" epoch-unpaired
wait=1 follower 0 "does not show who began it" epoch-unsigned
wait=1 follower 0 "out of all proportion" epoch-far
keep=1
wait=1 follower 0 "heard WANT" row-huge
wait=1 follower 0 "heard START" path-loop
wait=1 follower 0 "heard WANT" data-silence
check "what was collected of it all does not stay" meet "$a" "$b"

source_ 4 "not sent" ack-unsent
source_ 4 "not sent" ack-beyond
source_ 0 "heard CHUNKS" want-unknown
source_ 0 "heard DATA  offset 0" want-prefix mail/large
source_ 4 "range" want-beyond
source_ 4 "range" want-overlap
source_ 4 "more contents at a time|range" flood-wants
source_ 0 "PLAN_END" flood-cancels
source_ 0 "HELLO" flood-starts
source_ 4 "more directories" flood-dirs
source_ 4 "never named" rows-unknown
source_ 0 "PLAN_END" flood-orders
source_ 0 "REPLY" order-recursion
source_ 4 "from the peer" frame-garbage
wait=1 source_ 0 "HELLO" frame-pings
wait=1 source_ 0 "not paired" epoch-unpaired
wait=1 source_ 0 "out of all proportion" epoch-far
wait=1 source_ 0 "HELLO" epoch-unsigned

# ---- orders and records ----

source_ 0 "REPLY refused .*active already" order-accept generation
source_ 0 "REPLY untrusted" order-accept key
source_ 0 "REPLY refused the hand-over is of another store" order-accept store
follower 0 "REPLY format a hand-over without" order accept
follower 0 "REPLY format" order-garbage
follower 0 "REPLY refused the hand-over is of another store" order-accept store
follower 0 "REPLY untrusted the hand-over was not signed" order-accept key
follower 0 "REPLY untrusted .*proportion" order-accept epoch
follower 0 "REPLY refused .*generation" order-accept generation
follower 0 "REPLY refused" order cutover
follower 0 "REPLY unsupported" order nonsense
follower 0 "REPLY refused" order generation
follower 0 "REPLY refused" order adopt
check "no epoch was used up" meet "$a" "$b"

# The site that dials, as a command, is the victim.
dial=127.0.0.1:$(python3 "$here/relay.py" port)
site "$b" pair "$(cat "$a.card")" --at "$dial" >/dev/null
# dialled STATUS WORDS ATTACK
dialled() {
	check_status "$1" "sync: $3" sh -c '
		"$1" --home "$2" --listen "$3" --seconds 60 "$4" -- \
		    "$CAUSEWAY" --home "$5" sync mail >"$6" 2>&1
		status=$?
		cat "$6"
		grep -qE "$7" "$6" && ! grep -q Sanitizer "$6" || exit 77
		exit $status' sh "$FAKEPEER" "$a" "$dial" "$3" "$b" \
	    "$tmp/dialled" "$2"
}
dialled 5 "not paired" epoch-unpaired
dialled 5 "does not show who began it" epoch-unsigned
dialled 5 "out of all proportion" epoch-far
dialled 4 "no message" hello-garbage
dialled 4 "leads elsewhere" path-up
dialled 4 "digest" row-digest
check_status 5 "sync: a key that is not paired" "$FAKEPEER" --home "$a" \
    --key --listen "$dial" frame-unknown -- "$CAUSEWAY" --home "$b" sync mail

# ---- an old record, a superseded site, two active sites ----

# As the hand-over will be signed, before the active site knows.
daemon_start "$b"
site "$a" pair "$(cat "$b.card")" --at "127.0.0.1:$(cat "$b.listen")" >/dev/null
check "nothing is left to sync" site "$a" sync mail
"$FAKEPEER" --home "$a" record "$tmp/record"
cp -a "$a" "$tmp/a.old"
# It signed one for this epoch that was refused: that one is used up.
site "$a" cutover mail >"$tmp/first" 2>&1
check "the first switchover is put back" grep -q "everything was put back" \
    "$tmp/first"
check "an honest switchover works after all this" site "$a" cutover mail
await "the new site is active" sh -c '
	[ "$("$CAUSEWAY" --home "$1" status mail --json |
	    jq -r ".stores[0].role")" = active ]' sh "$b"
check "and one home again" site "$a" cutover mail --to metairie
daemon_stop "$b"
follower 0 "REPLY untrusted .*old one" order-replay "$tmp/record"
check "a record played again promotes nobody" sh -c '
	[ "$("$CAUSEWAY" --home "$1" status mail --json |
	    jq -r ".stores[0].role")" = standby ]' sh "$b"
mv "$a" "$tmp/a.new" && mv "$tmp/a.old" "$a"
wait=1 follower 0 "but epoch [0-9]+ has begun; it is not followed" epoch-lower
mv "$a" "$tmp/a.old" && mv "$tmp/a.new" "$a"
check "the replica follows who is active" meet "$a" "$b"

check "a standby takes over by failover" site "$b" cutover mail \
    --primary-lost --yes
wait=1 follower 0 "split brain.*Decide" epoch-split \
    "$(status_of "$b" epoch)"
check "which changes nothing" sh -c '
	[ "$("$CAUSEWAY" --home "$1" status mail --json |
	    jq -r ".stores[0].role")" = active ]' sh "$b"

# ---- silence ----

for pid in $silent_pids; do
	wait "$pid"
done
for file in "$tmp"/silent.*; do
	check "${file##*/}: the victim gives up in time" sh -c '
		cat "$1"
		took=$(sed -n "s/^victim: .* MiB, \([0-9]*\).*/\1/p" "$1")
		[ "$took" -le 100 ] && ! grep -qE "status 9|Sanitizer" "$1"' \
	    sh "$file"
done

check "a peer that holds the store does not prevent a failover" sh -c '
	cat "$1"; grep -q "status 0" "$1"' sh "$tmp/held.cutover"
check "nothing outside the roots was touched" sh -c '
	cd "$1" && find canary -printf "%p %y %s %T@ %i\n" | sort |
	    diff - "$2"' sh "$tmp" "$tmp/canary.before"
finish
