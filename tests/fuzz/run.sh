#!/bin/sh
# Builds the fuzz targets and runs each for so many seconds, one a core, with
# what tests/vectors has of its format to begin with:
#
#     tests/fuzz/run.sh [SECONDS [TARGET...]]
#
# Prints a line for each; the exit status is 1 if one found something, which
# then lies in build/fuzz/found.  CW_FUZZ_BUILD is another place to build in.
set -u
cd "$(dirname "$0")/../.." || exit 1
seconds=${1:-60}
[ $# -eq 0 ] || shift
command -v clang >/dev/null && echo 'int main(void) { return 0; }' |
    clang -fsanitize=fuzzer-no-link -x c -o /dev/null - 2>/dev/null || {
	echo "skip: clang with libFuzzer (libclang-rt-14-dev) is not installed"
	exit 77
}
build=${CW_FUZZ_BUILD:-build/fuzz}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
if ! { cmake --preset fuzz -G Ninja -B "$build" &&
    cmake --build "$build"; } >"$work/log" 2>&1; then
	tail -n 40 "$work/log"
	exit 1
fi
mkdir -p "$build/found"

[ $# -gt 0 ] || set -- "$build"/fuzz_*
for target in "$@"; do
	name=${target##*/}
	name=${name#fuzz_}
	[ -x "$build/fuzz_$name" ] || continue
	mkdir "$work/$name"
	# tests/vectors/NAME/ or, of several formats in one folder, *.NAME
	find tests/vectors -type f -size -128k \
	    \( -path "tests/vectors/$name/*" -o -name "*.$name" \) \
	    -exec cp --backup=numbered -t "$work/$name" {} +
	echo "$name"
done >"$work/names"

# libgcrypt's entropy collector is held in its secure memory, where the leak
# checker does not look for pointers.
echo leak:libgcrypt >"$work/suppressions"
export LSAN_OPTIONS="suppressions=$work/suppressions:print_suppressions=0"

# one NAME
cat >"$work/one" <<'END'
name=$1
"$build/fuzz_$name" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2560 \
    -print_final_stats=1 -artifact_prefix="$build/found/$name-" \
    "$work/$name" >"$work/$name.log" 2>&1
status=$?
runs=$(sed -n 's/^stat::number_of_executed_units: //p' "$work/$name.log")
if [ "$status" -eq 0 ] && [ "${runs:-0}" -gt 0 ]; then
	echo "ok - fuzz_$name: $runs runs in $seconds s found nothing"
	exit 0
fi
echo "not ok - fuzz_$name: status $status"
grep -v '^#' "$work/$name.log" | tail -n 40 | sed 's/^/    /'
touch "$work/failed"
END
export build work seconds
xargs -r -n 1 -P "$(nproc)" sh "$work/one" <"$work/names"
[ ! -e "$work/failed" ] && [ -s "$work/names" ]
