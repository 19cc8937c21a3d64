#!/bin/sh
# A tour of Causeway on one machine: sh docs/tour.sh
#
# It takes a fresh Debian 12 from nothing to mail that is served at another site,
# and home again: installs what is missing, builds, makes a sample store and two
# sites, seals the one's mail, drives it to the other, brings over the line what
# happened meanwhile, and lets the store change its site twice.  All of it
# happens in a temporary directory that is gone when the tour ends.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/setup.sh
here=$cw_root/tests/scenario
export LC_ALL=C.UTF-8 TZ=UTC PYTHONDONTWRITEBYTECODE=1
unset CAUSEWAY_PASSPHRASE CAUSEWAY_HOOKS_CONF

if [ "$(id -u)" -ne 0 ]; then
	cat <<'END'
The tour needs root: it restores files with their owners, starts two Dovecots
that read them, and may have to install packages.  It changes nothing else and
stays in a temporary directory.  Run it as

    sudo sh docs/tour.sh
END
	exit 1
fi

tour=$(mktemp -d /tmp/tour.XXXX) || exit 1
on_exit=
at_exit() {
	on_exit="$1; $on_exit"
}
leave() {
	status=$?
	trap - EXIT
	eval "$on_exit"
	rm -rf "$tour"
	exit $status
}
trap leave EXIT
trap 'exit 130' INT TERM

step=0
title() {
	step=$((step + 1))
	printf '\n\n%s\n' "$step. $1"
	echo "$step. $1" | sed 's/./-/g'
}

# say <<END: prose.  Figures in it were measured just now.
say() {
	echo
	fmt -w 77
}

shown() {
	fold -s -w "${width:-74}" "$1" | sed 's/ *$//; s/^/    /'
}

there() {
	printf '\n%s# %s\n' "$1" "$2"
	directory=$tour/$1
	[ -d "$directory" ] || directory=$tour
	(cd "$directory" && eval "$2") >"$tour/out" 2>&1 </dev/null
	status=$?
	shown "$tour/out"
}

# at PLACE COMMAND: shows it as it would be typed there, then does it.
at() {
	there "$1" "$2"
	[ $status -eq 0 ] && return
	printf '\nThe tour ends here: that should have worked (status %d).\n' \
	    $status
	exit 1
}

# refused PLACE COMMAND [STATUS]: the same for what must not work.
refused() {
	there "$1" "$2"
	printf '    (exit status %d)\n' $status
	[ $status -eq "${3:-$status}" ] && [ $status -ne 0 ] && return
	printf '\nThe tour ends here: that should have been refused.\n'
	exit 1
}

now() {
	date +%s%N
}
seconds() {
	awk -v ns=$(($2 - $1)) 'BEGIN { printf "%.2f", ns / 1e9 }'
}
# Sizes of what is in files, whatever the filesystem makes of them.
bytes() {
	find "$@" -type f -printf '%s\n' | awk '{ n += $1 } END { print n + 0 }'
}
megabytes() {
	awk -v n="$1" 'BEGIN { printf "%.1f MB", n / 1e6 }'
}
rate() {
	awk -v n="$1" -v s="$2" 'BEGIN { printf "%.0f MB/s", n / 1e6 / s }'
}

# mail_server PLACE: a Dovecot of its own, which the hooks start and stop.
mail_server() {
	mkdir -p "$tour/$1/dovecot/run" "$tour/$1/dovecot/state"
	chmod 755 "$tour/$1/dovecot" "$tour/$1/dovecot/run"
	dovecot_configure "$tour/$1/dovecot" "$tour/$1/vmail"
	cat >>"$tour/$1/dovecot/dovecot.conf" <<END
hostname = $1.example
import_environment = TZ DOVECOT_HOSTNAME=$1
END
	echo "DOVECOT_CONF=$tour/$1/dovecot/dovecot.conf" >"$tour/$1/hooks.conf"
	at_exit "hook dovecot-stop $1"
}

hook() {
	CAUSEWAY_HOOKS_CONF=$tour/$2/hooks.conf "$tour/hooks/$1" \
	    >"$tour/hook.out" 2>&1 </dev/null || cat "$tour/hook.out"
}

imap() {
	python3 "$here/imap.py" "$@"
}
# listing PLACE: all that its server says it has.
listing() {
	imap listing "$tour/$1/dovecot" $users >"$tour/listing-$1" || exit 1
	messages=$(grep -vc '	-	' "$tour/listing-$1")
}

# runs PLACE: the daemon, until the tour ends.
runs() {
	printf '\n%s# %s\n' "$1" "causeway --home home run 2>log &"
	(cd "$tour/$1" && CAUSEWAY_HOOKS_CONF=$tour/$1/hooks.conf \
	    exec causeway --home home run) >"$tour/$1/log" 2>&1 </dev/null &
	at_exit "kill $! 2>/dev/null; wait $! 2>/dev/null"
	becomes "$1" '.daemon.stores[0].scanning == false'
}

# becomes PLACE CLAIM: waits until what `status --json` says makes it true.
becomes() {
	left=1200
	until causeway --home "$tour/$1/home" status --json 2>/dev/null |
	    jq -e "$2" >/dev/null 2>&1; do
		left=$((left - 1))
		if [ $left -eq 0 ]; then
			printf '\nThe tour ends here: not true at %s: %s\n' \
			    "$1" "$2"
			shown "$tour/$1/log"
			exit 1
		fi
		sleep 0.1
	done
}

same_digests() {
	for site in metairie shreveport; do
		at $site "causeway --home home status --json |
    jq -r '.stores[0].digest'"
		cp "$tour/out" "$tour/digest-$site"
	done
	cmp -s "$tour/digest-metairie" "$tour/digest-shreveport" && return
	echo "The digests differ."
	exit 1
}

cat <<'END'
Causeway: a tour on one machine
===============================

August 2005, Metairie, Louisiana.  The levees have broken.  The building still
has power, for some days; the mail server in it holds everything that a company
knows.  The line to the outside is far too thin for it.  But there is a disk,
and a truck that leaves for Shreveport.

What you will see: the mail is sealed onto the disk so that only Shreveport can
read it; the disk travels and is dropped; Shreveport repairs, checks and unpacks
it, and Metairie hears that it did.  What happened in Metairie meanwhile follows
on a stick, and over the line, once there is one.  Then the mail server in
Shreveport takes over as if nothing had happened, and when the water is gone the
mail comes home.
END

echo
cw_install build test || exit 1
cw_build release || exit 1
cmake --build build/release --target mkstore >"$tour/out" 2>&1 || {
	tail -n 20 "$tour/out"
	exit 1
}
PATH=$cw_root/build/release:$PATH
mkdir -p "$tour/metairie/vmail" "$tour/metairie/disk" "$tour/shreveport/vmail"
chmod 755 "$tour"
ln -s "$cw_root/src/site/hooks" "$tour/hooks"
. "$here/dovecot.sh"
began=$(now)

title "A mail server in Metairie"
say <<'END'
Six people's mail in Maildirs, as Dovecot keeps it: 400 messages of three
years, with attachments that were sent around more than once.  Dovecot serves
it, and goes on serving it during all that follows.
END
at metairie "mkstore --messages 400 --profile mixed --users 6 vmail"
chown -R $dovecot_owner:$dovecot_owner "$tour/metairie/vmail"
mail_server metairie
hook dovecot-start metairie
imap wait "$tour/metairie/dovecot" || exit 1
users=$(ls "$tour/metairie/vmail")
listing metairie
say <<END
We can ask Dovecot over IMAP for all it has: for each of $messages messages its
UID, flags, keywords, date, size and the SHA-256 of what it says.  That is what
must be the same in Shreveport in the end, line for line.
END

title "Two sites that know each other"
say <<'END'
Each site makes its keys once, long before any storm: one to sign with, one to
be sealed for.  The private halves never leave it.  It also says where others
will reach it, on days on which there is a line.  (Two homes on one machine stand
for two sites; elsewhere you would leave out --home.)
END
metairie=127.0.0.1:$(python3 "$here/relay.py" port)
shreveport=127.0.0.1:$(python3 "$here/relay.py" port)
at metairie "causeway --home home init metairie --listen $metairie"
at shreveport "causeway --home home init shreveport --listen $shreveport"
say <<'END'
The public halves are the site's card, one line of text.  Mail it, print it:
there is no secret in it.
END
at shreveport "causeway --home home card | tee card"
at metairie "causeway --home home card >card"
at metairie 'causeway --home home pair "$(cat ../shreveport/card)" \
    --at '$shreveport
at shreveport 'causeway --home home pair "$(cat ../metairie/card)" \
    --at '$metairie' >paired'
say <<'END'
Those words are what you read to each other on the telephone, so that no one in
between has put his own card in place of yours.
END

title "Sealing the mail onto the disk"
say <<'END'
The site learns what is to be carried, and packs it.  Every message is hashed,
compressed, encrypted for Shreveport's key, written, flushed to the disk, read
back from it and compared.  Dovecot does not have to stop.  (Volumes are 256 MiB
unless one says otherwise: all of a store as small as this would be in one.)
END
at metairie "causeway --home home store add mail vmail"
from=$(now)
at metairie "causeway --home home seed mail --for shreveport --to disk \\
    --volume-size 2M"
to=$(now)
seed_s=$(seconds "$from" "$to")
stored=$messages store_b=$(bytes "$tour/metairie/vmail")
disk_b=$(bytes "$tour/metairie/disk")
seed_id=$(causeway --home "$tour/metairie/home" seed list --json |
    jq -r '.seeds[0].seed_id')
parity_b=$(bytes "$tour/metairie/disk/causeway/$seed_id"/*.rs)
say <<END
$(megabytes "$store_b") of mail became $(megabytes "$disk_b") on the disk in
$seed_s s ($(rate "$store_b" "$seed_s")).  Of that $(megabytes "$parity_b") are
parity, the shard *.rs: what one of its volumes, at most ten, loses on the way is
reckoned again from the shard and the others, and no key is needed for that.
These are all the files, with their sizes:
END
at metairie "cd disk; find * -type f -printf '%10s  %f\n' | sort -k 2 -u"

title "What a thief of the disk learns"
say <<'END'
Somebody looks at every byte of the disk for every name of a file or folder,
every address and every subject that there is in the store.
END
printf '\nthief# %s\n' "search every-name-address-and-subject disk"
python3 "$here/tree.py" silent "$tour/metairie/vmail" -- \
    "$tour/metairie/disk" >"$tour/out"
status=$?
shown "$tour/out"
[ $status -eq 0 ] || exit 1
say <<'END'
Nothing; and sizes tell little, since every file of mail is padded.  Not even
Metairie can read what it has just written: it has no key for it.  So the disk
and Metairie's computer together give no mail to whoever takes both.
END
refused metairie \
    "causeway --home home open disk/causeway/*/000001.tar.zst.age >stolen"

title "May it go?"
say <<'END'
Before a disk is packed somebody should ask whether it is fit to go.  `seed
close` reads all of it once more, and refuses while there is any reason against.
END
refused metairie "causeway --home home seed close disk" 7
say <<'END'
What was just written may still be in memory only.  A real disk would now be
unmounted and mounted again; ours is a directory of this machine, so we say that
we know.
END
at metairie "causeway --home home seed close disk --no-remount"
say <<'END'
Into the box goes a page that a tired person can read.  (Below it stands a QR
code with seed, medium and the manifest's digest, for a telephone.)
END
width=80 # the page's own
at metairie "causeway --home home seed slip $seed_id \\
    --call 'Ann +1 504 555 0100' | sed '/^---/,\$d'"
width=

title "The truck"
say <<'END'
The disk is pulled, put into the truck, dropped on the way, and plugged in at
Shreveport.
END
at truck "mv metairie/disk shreveport/disk"
cp -r "$tour/shreveport/disk" "$tour/undamaged"
# Bad sectors in three volumes, each at a place of its own: where, how many.
for place in 1:2:3 4:5:1 7:12:2; do
	volume=$(printf %06d "${place%%:*}").tar.zst.age
	rest=${place#*:}
	dd if=/dev/zero of="$tour/shreveport/disk/causeway/$seed_id/$volume" \
	    bs=64k seek="${rest%:*}" count="${rest#*:}" conv=notrunc 2>/dev/null
done
say <<'END'
(It is really damaged now: six blocks of 64 KiB in three volumes are zeros.)
END

title "Is it whole, and is it Metairie's?"
say <<'END'
Before anything is unpacked: the signature, and the hash of every byte.  No key
is needed for that, so the driver could do it, too.
END
from=$(now)
refused shreveport "causeway --home home verify disk" 3
to=$(now)
verify_s=$(seconds "$from" "$to")
say <<END
That took $verify_s s.  It names what is damaged to the block, and says that all
of it can be had back (status 3; 4 would be: not all).  So:
END
from=$(now)
at shreveport "causeway --home home repair disk"
to=$(now)
repair_s=$(seconds "$from" "$to")
say <<END
$repair_s s.  One shard mends any number of blocks as long as no two of its group
are at the same place.  Had a whole volume been lost, it would do, too:
END
at shreveport "rm disk/causeway/*/000002.tar.zst.age"
refused shreveport "causeway --home home repair disk --dry-run" 3
at shreveport "causeway --home home repair disk"
say <<'END'
What is repaired must have the SHA-256 that Metairie signed.  We don't believe it,
and compare with a copy that was not in the truck:
END
at shreveport "causeway --home home verify disk"
at shreveport "diff -r -x CUSTODY disk ../undamaged &&
    echo 'the same, byte for byte'"
say <<'END'
(CUSTODY is the log that travels with the disk: sealed, closed, verified,
repaired; each line is signed by who did it.)
END

title "Unpacking in Shreveport"
from=$(now)
at shreveport "causeway --home home receive disk --store mail --root vmail"
to=$(now)
receive_s=$(seconds "$from" "$to")
say <<END
In $receive_s s ($(rate "$store_b" "$receive_s")).
The state digest is one number over every name, owner, mode, time and content.
Each site reckons it from its own:
END
same_digests
say <<'END'
They are equal.  You need not take our word for it: mtree compares the files
in Shreveport with a list of what Metairie has, and is silent if all is well.
END
at metairie "causeway --home home ls mail --mtree >list"
at shreveport "mtree -p vmail -f ../metairie/list"
say <<'END'
There is no line yet, but people have telephones that send text.  The receipt is
signed by Shreveport, and for the very bytes that Metairie sealed; so Metairie
knows what arrived.
END
at shreveport "causeway --home home seed receipt $seed_id >receipt"
at metairie "causeway --home home seed confirm - <../shreveport/receipt"
at metairie "causeway --home home status mail"

title "If Causeway were gone"
say <<'END'
The disk says itself how to get the mail back with age, zstd and tar, which
every Debian has; Shreveport's key is a plain age key.
END
at shreveport "for v in disk/causeway/*/[0-9]*.tar.zst.age; do
    age -d -i home/keys/age.key \$v | zstd -dq | tar t
done | grep -cE '/(cur|new)/.'"

title "A stick, while the line is dead"
say <<'END'
Tuesday.  In Metairie mail comes in between the people in the building, and some
is thrown away.  A stick goes with the next car.  It needs only what changed since
what Shreveport has confirmed:
END
for user in $users; do
	cat >"$tour/letter" <<END
Date: Tue, 30 Aug 2005 07:30:00 -0500
From: $user@metairie.example
To: $user@metairie.example
Subject: Diesel
Message-ID: <diesel.$user@metairie.example>

The pump on the third floor has fuel until Thursday.
END
	imap deliver "$tour/metairie/dovecot" "$user" "$tour/letter" || exit 1
done
rm "$(find "$tour/metairie/vmail" -path '*/cur/*' -type f | sort | head -n 1)"
mkdir "$tour/metairie/stick"
from=$(now)
at metairie "causeway --home home seed mail --for shreveport --since-acked \\
    --to stick --parity none"
stick_b=$(bytes "$tour/metairie/stick")
at car "mv metairie/stick shreveport/stick"
at shreveport "causeway --home home receive stick"
to=$(now)
stick_s=$(seconds "$from" "$to")
say <<END
$((stick_b / 1000)) kB on the stick, $stick_s s at both ends together.  What was
deleted in Metairie is deleted in Shreveport, too.  The digests once more:
END
same_digests

title "The line is back"
say <<'END'
Wednesday.  The building in Metairie still has power; only the world could not
reach it.  Now there is a line again, a thin
one.  Which programs stop and start the mail service, should the store ever move,
is said beforehand; those for Dovecot come with Causeway:
END
for site in metairie shreveport; do
	cat >"$tour/$site/hooks" <<END

[hooks "mail"]
fence = $tour/hooks/dovecot-stop
unfence = $tour/hooks/dovecot-start
promote = $tour/hooks/dovecot-start
demote = $tour/hooks/dovecot-stop
END
done
at metairie "tee -a home/causeway.conf <hooks"
say <<'END'
The daemon listens for other sites, and looks for changes once a minute.
END
runs metairie
python3 "$here/office.py" morning "$tour/metairie/dovecot" $users \
    >"$tour/morning" || exit 1
# done_with WHAT: how many messages, and of how many bytes.
done_with() {
	awk -v what="$1" '$1 == what { printf "%d (%d kB)", $2, $3 / 1e3 }' \
	    "$tour/morning"
}
say <<END
Mail that was waiting outside comes in, and people tidy up.
$(done_with delivered) messages are delivered, $(done_with flagged) are marked as
read, answered or flagged, $(done_with moved) are moved to other folders, the
largest ones mostly, and $(done_with deleted) are deleted.  Shreveport fetches
what it lacks:
END
from=$(now)
at shreveport "causeway --home home sync mail"
to=$(now)
sync_s=$(seconds "$from" "$to")
sync_said=$(sed -n \
    's/.*entries, \(.*\) sent, \(.*\) received.*/\1 sent, \2 received/p' \
    "$tour/out" | tail -n 1)
[ -n "$sync_said" ] || exit 1
say <<END
$sync_said: that is all that crossed the line, counted at the socket with what
TLS adds.  It is the new messages, compressed, what Dovecot noted in its lists
and indexes, and for each message that was moved or flagged the news, not the
message.  Are the sites the same?  Digests, then mtree:
END
same_digests
at metairie "causeway --home home ls mail --mtree >list"
at shreveport "mtree -p vmail -f ../metairie/list"

title "Before the fuel is gone"
say <<'END'
The diesel will not last.  Shreveport gets its hooks, too, and a Dovecot that was
never started.  Both daemons run now: what changes in Metairie is in Shreveport
within a minute, and nobody has to type anything.
END
at shreveport "cat hooks >>home/causeway.conf"
mail_server shreveport
runs shreveport
becomes shreveport '.daemon.links[0].connected'
becomes metairie '.daemon.links[0].connected'
at metairie "causeway --home home status mail"
listing metairie
say <<END
We ask Dovecot in Metairie one last time for all it has: $messages messages.

Then Shreveport takes over.  The command may be typed at either site.  It stops
the service in Metairie, proves that no process holds the mail any more, brings
the last changes over, hands the store over, and starts the service in
Shreveport.  Whatever fails before the hand-over, Metairie would serve again.
END
from=$(now)
at metairie "causeway --home home cutover mail"
to=$(now)
cutover_s=$(seconds "$from" "$to")

title "Reading mail in Shreveport"
say <<'END'
A Dovecot that has never seen this mail has it now.  We ask it over IMAP what we
asked the one in Metairie.
END
listing shreveport
at anywhere "diff listing-metairie listing-shreveport &&
    echo 'the same, line for line'"
line=$(grep '	INBOX	0' "$tour/listing-shreveport" | head -n 1)
user=$(echo "$line" | cut -f 1)
say <<END
Their mail programs will not notice, but for a new address: the same UIDs, so
nothing is fetched again.  This is the first message in $user's INBOX, as the
server in Shreveport gives it out:
END
# headers PLACE UID RE: of a message in the user's INBOX.
headers() {
	imap show "$tour/$1/dovecot" "$user" INBOX "$2" |
	    sed '/^$/,$d' | grep -aiE "$3" >"$tour/out"
	echo
	shown "$tour/out"
}
headers shreveport "$(echo "$line" | cut -f 3 | sed 's/^0*//')" \
    '^(From|Subject|Date):'

title "One site serves, never two"
say <<'END'
Mail services are started behind a gate.  So a site whose power returns does not
serve a store that another one has taken over.
END
at shreveport "causeway --home home gate mail"
refused metairie "causeway --home home gate mail"
cat >"$tour/letter" <<END
Date: Thu, 1 Sep 2005 10:15:00 -0500
From: Nell <nell@coast.example>
To: $user@metairie.example
Subject: All of us are safe
Message-ID: <1.safe@coast.example>

The roof is gone, the cat is here.  When does the office open?
END
imap deliver "$tour/shreveport/dovecot" "$user" "$tour/letter" || exit 1
listing shreveport
say <<END
New mail comes in at Shreveport, and there alone.  A letter to $user has just
been delivered.
END

title "Home again"
say <<'END'
October.  The building is dry.  Since Metairie's machines are on again they
follow Shreveport, and need no disk for the way back: they have all but what is
new.  The daemons would bring that within a minute; we ask for it now.
END
at metairie "causeway --home home sync mail"
say <<'END'
(Where the link of the daemons was quicker, little is left to tell.)  The store
moves home.  This time we want to see how long each step takes:
END
at metairie "causeway --home home cutover mail --json >moved &&
    jq -r '.steps[] | .name + \": \" + (.seconds | tostring)' moved"
# took EXPRESSION: seconds of some of the steps.
took() {
	jq -r "(.steps | map(.name)) as \$n | [$1 | .seconds] | add * 100 |
	    round / 100" "$tour/metairie/moved"
}
outage_s=$(took '.steps[$n | index("fence"):($n | index("promote")) + 1][]')
hooks_s=$(took '.steps[] | select(.name == "fence" or .name == "promote")')
[ -n "$outage_s" ] || exit 1
say <<END
From the fence to the end of the promotion nobody served the mail: $outage_s s,
of which Dovecot took $hooks_s s to stop there and to start here.  The letter
that Shreveport took in, as Metairie gives it out:
END
headers metairie \
    "$(python3 "$here/office.py" newest "$tour/metairie/dovecot" "$user")" \
    '^(From|Subject|Date):|by [a-z]+\.example with LMTP'
listing metairie
at anywhere "diff listing-shreveport listing-metairie &&
    echo 'the same, line for line'"
at shreveport "causeway --home home status mail"

cat <<END


What was measured
-----------------

    mail store                $(megabytes "$store_b"), $stored messages
    on the disk               $(megabytes "$disk_b"), $(megabytes "$parity_b") of it parity
    seed                      $seed_s s, $(rate "$store_b" "$seed_s")
    verify                    $verify_s s, $(rate "$disk_b" "$verify_s")
    repair                    $repair_s s: 6 blocks of three volumes
    receive                   $receive_s s, $(rate "$store_b" "$receive_s")
    increment on the stick    $((stick_b / 1000)) kB, $stick_s s
    sync                      $sync_said, $sync_s s
    cutover                   $cutover_s s; home, $outage_s s without service
    state digests             equal, each time
    IMAP listings             equal, $(wc -l <"$tour/listing-metairie") lines
    the tour                  $(seconds "$began" "$(now)") s after the build

(A store as small as this says little about speed; tests/bench/run.sh measures
large ones, next to other tools.)

Next:
END
next() {
	[ -e "$cw_root/$1" ] && printf '    %-25s %s\n' "$1" "$2"
}
next README.md "what it does and does not, and how to begin"
next docs/causeway.1 "every command and option: man -l docs/causeway.1"
next docs/threat-model.md "who can learn or do what"
next formats/volume/SPEC.md "the bytes on the disk"
next docs/decisions "why it is so and not otherwise"
next tests/run.sh "all tests, with real Dovecots among them"
exit 0
