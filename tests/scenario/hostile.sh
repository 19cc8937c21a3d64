# Sourced after lib.sh and sites.sh: what the hostile scenarios share.
#
#   hostile_begin    two sites that trust each other, a third that trusts and is
#                    not trusted, a small store, a seed of it on $work/medium
#                    (without parity: nothing that is wrong is made good).
#                    Commands run as $CAUSEWAY, which is the one with sanitizers

hostile_begin() {
	need python3 age age-keygen minisign zstd xxh128sum
	[ -x "${CAUSEWAY_DEV:-}" ] ||
	    skip "the program with sanitizers is not built"
	CAUSEWAY=$CAUSEWAY_DEV
	export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1
	work=$tmp/work
	mkdir "$work"
	mount -t tmpfs -o size=2g,mode=700 causeway-test "$work" 2>/dev/null &&
	    at_exit "umount -l '$work'"
	a=$work/a b=$work/b c=$work/c store=$work/store medium=$work/medium
	mkdir -p "$store/sub" "$medium" "$work/keys"
	for i in 1 2 3 4 5 6; do
		head -c 20000 /dev/urandom >"$store/sub/$i"
	done
	echo small >"$store/small"
	ln -s small "$store/link"
	site_init "$a" metairie >/dev/null &&
	    site_init "$b" shreveport >/dev/null &&
	    site_init "$c" mobile >/dev/null &&
	    site_pair "$a" "$b" >/dev/null &&
	    site "$a" pair "$(cat "$c.card")" >/dev/null &&
	    site "$c" pair "$(cat "$b.card")" >/dev/null &&
	    site "$a" store add mail "$store" >/dev/null &&
	    site "$a" seed mail --for shreveport --to "$medium" \
		--volume-size 64k --parity none >/dev/null ||
	    fail "a seed is made"
	cp "$a/keys/minisign.key" "$work/keys/sign.key"
	cp "$b/keys/age.key" "$work/keys/age.key"
	cp "$c/keys/minisign.key" "$work/keys/other.key"
	age-keygen -y "$c/keys/age.key" >"$work/keys/stranger"
	# As it was before it received anything.
	cp -a "$b" "$work/b0"
}

# flips STEP [FILE...]: every STEPth byte, see flips.py
flips() {
	flips_step=$1
	shift
	rm -rf "$work/flips"
	mkdir "$work/flips"
	python3 "$root/tests/scenario/flips.py" "$CAUSEWAY" "$work/b0" \
	    "$medium" "$store" "$work/flips" "$flips_step" "$@"
}

# forged [OPTION...]: see hostile.py
forged() {
	rm -rf "$work/forged"
	mkdir "$work/forged"
	cp -r "$work/keys" "$work/forged"
	python3 "$root/tests/scenario/hostile.py" "$CAUSEWAY" "$work/b0" \
	    "$medium" "$work/forged" "$@"
}
