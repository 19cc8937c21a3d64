#!/bin/sh
# A tour of Causeway on one machine: sh docs/tour.sh
#
# It takes a fresh Debian 12 from nothing to mail that is read at another site:
# installs what is missing, builds, makes a sample store and two sites, seals
# the one's mail, drives it to the other, and lets Dovecot serve it there.  All
# of it happens in a temporary directory that is gone when the tour ends.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/setup.sh
here=$cw_root/tests/scenario
export LC_ALL=C.UTF-8 TZ=UTC PYTHONDONTWRITEBYTECODE=1
unset CAUSEWAY_PASSPHRASE

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
	fold -s -w 74 "$1" | sed 's/ *$//; s/^/    /'
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

# refused PLACE COMMAND: the same for what must not work.
refused() {
	there "$1" "$2"
	printf '    (exit status %d)\n' $status
	[ $status -ne 0 ] && return
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

cat <<'END'
Causeway: a tour on one machine
===============================

August 2005, Metairie, Louisiana.  The levees have broken.  The building still
has power, for some days; the mail server in it holds everything that a company
knows.  The line to the outside is far too thin for it.  But there is a disk,
and a truck that leaves for Shreveport.

What you will see: the mail is sealed onto the disk so that only Shreveport can
read it, the disk travels, Shreveport checks it and unpacks it, and a mail
server there goes on as if nothing had happened.
END

# Debian starts a mail server of its own when it is installed; not here.
policy=/usr/sbin/policy-rc.d
if ! command -v dovecot >/dev/null && [ ! -e $policy ]; then
	printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy
	at_exit "rm -f $policy"
fi
echo
cw_install build test || exit 1
[ -z "$on_exit" ] || rm -f $policy
cw_build release || exit 1
cmake --build build/release --target mkstore >"$tour/out" 2>&1 || {
	tail -n 20 "$tour/out"
	exit 1
}
PATH=$cw_root/build/release:$PATH
mkdir -p "$tour/metairie/vmail" "$tour/metairie/disk" "$tour/shreveport/vmail"
chmod 755 "$tour"
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
dovecot_start "$tour/metairie/dovecot" "$tour/metairie/vmail" metairie ||
    exit 1
users=$(ls "$tour/metairie/vmail")
python3 "$here/imap.py" listing "$tour/metairie/dovecot" $users \
    >"$tour/listing-a" || exit 1
messages=$(grep -vc '	-	' "$tour/listing-a")
say <<END
We ask Dovecot over IMAP for all it has, and keep the answer: for each of
$messages messages its UID, flags, keywords, date, size and the SHA-256 of what
it says.  That is what must be the same in Shreveport, line for line.
END

title "Two sites that know each other"
say <<'END'
Each site makes its keys once, long before any storm: one to sign with, one to
be sealed for.  The private halves never leave it.  (Two homes on one machine
stand for two sites; elsewhere you would leave out --home.)
END
at metairie "causeway --home home init metairie"
at shreveport "causeway --home home init shreveport"
say <<'END'
The public halves are the site's card, one line of text.  Mail it, print it:
there is no secret in it.
END
at shreveport "causeway --home home card | tee card"
at metairie "causeway --home home card >card"
at metairie 'causeway --home home pair "$(cat ../shreveport/card)"'
at shreveport 'causeway --home home pair "$(cat ../metairie/card)" >paired'
say <<'END'
Those words are what you read to each other on the telephone, so that no one in
between has put his own card in place of yours.
END

title "Sealing the mail onto the disk"
say <<'END'
The site learns what is to be carried, and packs it.  Every message is hashed,
compressed, encrypted for Shreveport's key, written, flushed to the disk, read
back from it and compared.  Dovecot does not have to stop.
END
at metairie "causeway --home home store add mail vmail"
from=$(now)
at metairie "causeway --home home seed mail --for shreveport --to disk"
to=$(now)
seed_s=$(seconds "$from" "$to")
store_b=$(bytes "$tour/metairie/vmail")
disk_b=$(bytes "$tour/metairie/disk")
say <<END
$(megabytes "$store_b") of mail became $(megabytes "$disk_b") on the disk in
$seed_s s ($(rate "$store_b" "$seed_s")).
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

title "The truck"
say <<'END'
The disk is pulled, put into the truck, and plugged in at Shreveport.
END
at truck "mv metairie/disk shreveport/disk"

title "Is it whole, and is it Metairie's?"
say <<'END'
Before anything is unpacked: the signature, and the hash of every byte.  No key
is needed for that, so the driver could do it, too.
END
from=$(now)
at shreveport "causeway --home home verify disk"
to=$(now)
verify_s=$(seconds "$from" "$to")
say <<END
That took $verify_s s.  Would it have told?  We change one byte in a copy, in
the middle of the mail:
END
cp -r "$tour/shreveport/disk" "$tour/shreveport/wet-disk"
for volume in "$tour"/shreveport/wet-disk/causeway/*/000001.tar.zst.age; do
	middle=$(($(stat -c %s "$volume") / 2))
	old=$(dd if="$volume" bs=1 skip=$middle count=1 2>/dev/null |
	    od -An -tu1 | tr -d ' ')
	printf "\\$(printf %03o $((old ^ 1)))" |
	    dd of="$volume" bs=1 seek=$middle conv=notrunc 2>/dev/null
done
refused shreveport "causeway --home home verify wet-disk"

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
for site in metairie shreveport; do
	at $site "causeway --home home status --json |
    jq -r '.stores[0].digest'"
	cp "$tour/out" "$tour/digest-$site"
done
cmp -s "$tour/digest-metairie" "$tour/digest-shreveport" || {
	echo "The digests differ."
	exit 1
}
say <<'END'
They are equal.  You need not take our word for it: mtree compares the files
in Shreveport with a list of what Metairie has, and is silent if all is well.
END
at metairie "causeway --home home ls mail --mtree >list"
at shreveport "mtree -p vmail -f ../metairie/list"

title "Reading mail"
say <<'END'
Another Dovecot, which has never seen this mail, is started on the files in
Shreveport.  We ask it over IMAP what we asked the one in Metairie.
END
dovecot_start "$tour/shreveport/dovecot" "$tour/shreveport/vmail" \
    shreveport || exit 1
python3 "$here/imap.py" listing "$tour/shreveport/dovecot" $users \
    >"$tour/listing-b" || exit 1
at anywhere "diff listing-a listing-b && echo 'the same, line for line'"
line=$(grep '	INBOX	0' "$tour/listing-b" | head -n 1)
user=$(echo "$line" | cut -f 1)
uid=$(echo "$line" | cut -f 3 | sed 's/^0*//')
say <<END
Their mail programs will not notice, but for a new address: the same UIDs, so
nothing is fetched again.  This is the first message in $user's INBOX, as the
server in Shreveport gives it out:
END
python3 "$here/imap.py" show "$tour/shreveport/dovecot" "$user" INBOX "$uid" |
    grep -aiE '^(From|Subject|Date):' | head -n 3 >"$tour/out"
echo
shown "$tour/out"

title "If Causeway were gone"
say <<'END'
The disk says itself how to get the mail back with age, zstd and tar, which
every Debian has; Shreveport's key is a plain age key.
END
at shreveport "for v in disk/causeway/*/[0-9]*.tar.zst.age; do
    age -d -i home/keys/age.key \$v | zstd -dq | tar t
done | grep -cE '/(cur|new)/.'"

dovecot_stop "$tour/shreveport/dovecot"
dovecot_stop "$tour/metairie/dovecot"
cat <<END


What was measured
-----------------

    mail store                $(megabytes "$store_b"), $messages messages
    on the disk               $(megabytes "$disk_b")
    seed                      $seed_s s, $(rate "$store_b" "$seed_s")
    verify                    $verify_s s, $(rate "$disk_b" "$verify_s")
    receive                   $receive_s s, $(rate "$store_b" "$receive_s")
    state digests             equal
    IMAP listings             equal, $(wc -l <"$tour/listing-b") lines
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
