#!/bin/sh
# A store that changes 300 times a second is seeded in a handful of passes, and
# nothing that was there when the seed began is missing at the other site.
. "$(dirname "$0")/lib.sh"
. "$here/sites.sh"
need python3 jq

a=$tmp/a
check "the first site is made" site_init "$a" metairie

# round NAME MESSAGES RATE
round() {
	name=$1 messages=$2 rate=$3
	b=$tmp/b-$name medium=$tmp/medium-$name replica=$tmp/replica-$name
	store=$tmp/store-$name truth=$tmp/truth-$name said=$tmp/said-$name
	mkdir "$store" "$medium" "$replica"
	site_init "$b" "shreveport-$name" >/dev/null &&
	    site_pair "$a" "$b" >/dev/null &&
	    site "$a" store add "$name" "$store" >/dev/null ||
	    fail "$name: a second site is made, a store declared"

	check "$name: $messages messages, $rate operations a second: seeded" \
	    sh -c 'python3 "$1" live "$2" $3 $4 "$5" -- "$6" --home "$7" \
		seed "$8" --for "shreveport-$8" --to "$9" --volume-size 4M \
		--json >"$5.out"' sh "$here/busy.py" "$store" "$messages" \
	    "$rate" "$truth" "$CAUSEWAY" "$a" "$name" "$medium" || finish
	grep '^busy' "$truth.out" | sed 's/^/    /'
	grep -v '^busy' "$truth.out" >"$said"
	passes=$(site_field "$said" passes)
	check "$name: it took a handful of passes ($passes)" \
	    [ "$passes" -le 10 ]
	check "$name: clients were at work meanwhile" \
	    [ "$(site_field "$truth" during)" -ge 20 ]
	check "$name: the seed verifies" site "$b" verify "$medium"
	check "$name: it is received, nothing is wanted" \
	    site "$b" receive "$medium" --store mail --root "$replica"
	check "$name: nothing is missing, nothing is where it never was" \
	    python3 "$here/busy.py" judge "$replica" "$truth"
	grep '^judged' "$tmp/check.out" | sed 's/^/    /'
	rm -rf "$store" "$medium" "$replica"
}

round large 8000 300
# Few messages: nearly each of them is renamed while it is packed.
round small 150 300
round usual 4000 150
finish
