#!/bin/sh
# A store is seeded while Dovecot runs and clients flag, move, expunge and
# deliver.  What was acknowledged before the seed began is at the other site.
. "$(dirname "$0")/lib.sh"
. "$here/sites.sh"
. "$here/dovecot.sh"
dovecot_need

users="ada ben cleo"
a=$tmp/a store=$tmp/vmail
mkdir "$store"
chmod 755 "$tmp"
chown $dovecot_owner:$dovecot_owner "$store"

check "Dovecot starts at the first site" \
    dovecot_start "$tmp/dovecot-a" "$store" metairie
check "the first site is made" site_init "$a" metairie
check "the store is declared" site "$a" store add mail "$store"

for round in 1 2 3; do
	mix=usual
	[ $round -eq 1 ] || mix=moves
	# Each round is for another site, so that each is a whole seed.
	b=$tmp/b$round medium=$tmp/medium$round replica=$tmp/replica$round
	mkdir "$medium" "$replica"
	site_init "$b" "shreveport$round" >/dev/null &&
	    site_pair "$a" "$b" >/dev/null ||
	    fail "round $round: a second site is made"

	check "round $round: a store in use is seeded" \
	    python3 "$here/life.py" live "$tmp/dovecot-a" 4000 $mix \
	    "$tmp/truth$round" $users -- "$CAUSEWAY" --home "$a" seed mail \
	    --for "shreveport$round" --to "$medium" --volume-size 4M || finish
	grep '^life' "$tmp/check.out" | sed 's/^/    /'
	check "round $round: clients were at work meanwhile" \
	    [ "$(site_field "$tmp/truth$round" during)" -ge 10 ]
	check "round $round: the seed verifies" site "$b" verify "$medium"
	check "round $round: the seed is received" \
	    site "$b" receive "$medium" --store mail --root "$replica"
	check "round $round: no lock was carried along" \
	    sh -c '! find "$1" -name "*.lock" | grep .' sh "$replica"
	check "round $round: Dovecot starts at the second site" \
	    dovecot_start "$tmp/dovecot-b" "$replica" "shreveport$round"
	check "round $round: nothing that was acknowledged is missing" \
	    python3 "$here/life.py" judge "$tmp/dovecot-b" "$tmp/truth$round"
	grep '^judged' "$tmp/check.out" | sed 's/^/    /'
	check "round $round: Dovecot stops" dovecot_stop "$tmp/dovecot-b"
	rm -rf "$tmp/dovecot-b" "$replica" "$medium"
done

check "Dovecot at the first site has nothing to complain of" \
    dovecot_is_content "$tmp/dovecot-a"
check "Dovecot stops at the first site" dovecot_stop "$tmp/dovecot-a"
finish
