# Sourced after crash.sh: the same for a seed on three media with parity.
#
#   media_begin NAME OPTION...   from now on seed has these options; NAME is
#                                for the report

media_begin() {
	media_name=$1
	shift
	media_options=$*
	medium=$work/media
}

seed_fresh() {
	rm -rf "$work/a" "$medium"
	cp -a "$work/a0" "$work/a"
	mkdir -p "$medium/1" "$medium/2" "$medium/3"
}
run_seed() {
	# shellcheck disable=SC2086 # options are words
	"$@" "$CAUSEWAY" --home "$work/a" --json seed mail --for shreveport \
	    --to "$medium/1" --to "$medium/2" --to "$medium/3" \
	    --volume-size "$crash_volume" $media_options \
	    >"$work/out" 2>"$work/err"
}
run_receive() {
	# shellcheck disable=SC2086 # no spaces are in them
	"$@" "$CAUSEWAY" --home "$work/b" --json receive $(signed_media) \
	    --root "$replica" >"$work/out" 2>"$work/err"
}

# One that failed before a volume was on it is no medium of the seed.
signed_media() {
	for signed in "$medium"/*; do
		[ -e "$(echo "$signed"/causeway/*/MANIFEST)" ] && echo "$signed"
	done
}

# Whole, and its parity right.
check_seed() {
	# shellcheck disable=SC2046 # no spaces are in them
	"$CAUSEWAY" --home "$work/b0" --json verify --no-custody \
	    $(signed_media) >"$work/out" 2>"$work/err" ||
	    complain "verify ends with $?"
	[ "$(find "$medium"/*/causeway -mindepth 1 -maxdepth 1 -type d |
	    wc -l)" -eq 3 ] || complain "there is more than one seed"
	# shellcheck disable=SC2046 # no spaces are in them
	python3 "$root/tests/crash/shards.py" $(signed_media |
	    sed 's:$:/causeway/*/:') >"$work/out" 2>"$work/err" || complain "the parity is not right"
	digest=$("$CAUSEWAY" --home "$work/a" --json status mail |
	    jq -r '.stores[0].digest')
	receive_fresh
	run_receive || complain "receive ends with $?"
	[ "$(jq -r '.digest // "none"' "$work/out")" = "$digest" ] ||
	    complain "the state digests differ"
}
