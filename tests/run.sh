#!/bin/sh
# Runs the tests.  On a fresh Debian 12: installs what is missing (as root;
# otherwise says what to install), builds, and runs
#   - the unit tests, with ASan and UBSan,
#   - the scenarios of tests/scenario, with the release build where time counts.
#
#   --crash    also stops seed and receive at every sort of system call
#   --fuzz     also runs each fuzz target for 60 s (--fuzz=SECONDS)
#   --bench    also compares with other tools (long)
#   --only RE  only tests whose name matches
#
# Ends with "N passed, N failed, N skipped"; the exit status is 0 only if
# nothing failed.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/setup.sh

crash= fuzz= bench= only=.
while [ $# -gt 0 ]; do
	case $1 in
	--crash) crash=1 ;;
	--fuzz) fuzz=60 ;;
	--fuzz=*) fuzz=${1#--fuzz=} ;;
	--bench) bench=1 ;;
	--only) only=$2; shift ;;
	*) sed -n '2,13s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
	esac
	shift
done

cw_install build test || exit 1
werror=
[ "${CI:-}" = true ] && werror=-DCW_WERROR=ON
cw_build dev $werror || exit 1
cw_build release $werror || exit 1

passed=0 failed=0 skipped=0 failures=
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

# one NAME COMMAND...: a test is skipped when it exits 77.
one() {
	name=$1
	shift
	echo "$name" | grep -Eq "$only" || return 0
	begin=$(date +%s)
	"$@" >"$logs/out" 2>&1 </dev/null
	status=$?
	took=$(($(date +%s) - begin))
	case $status in
	0)
		passed=$((passed + 1))
		echo "ok       $name (${took} s)"
		grep -i '^skip' "$logs/out" | sed 's/^/         /'
		;;
	77)
		skipped=$((skipped + 1))
		echo "skipped  $name: $(tail -n 1 "$logs/out")"
		;;
	*)
		failed=$((failed + 1))
		failures="$failures $name"
		echo "FAILED   $name (${took} s, status $status)"
		tail -n 60 "$logs/out" | sed 's/^/    /'
		;;
	esac
}

one layers sh tests/layers.sh
export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1
export LSAN_OPTIONS="suppressions=$PWD/tests/lsan.supp:print_suppressions=0"
for test in build/dev/test_*; do
	[ -x "$test" ] && one "unit/${test##*/}" "$test"
done
export CAUSEWAY="$PWD/build/release/causeway"
export CAUSEWAY_DEV="$PWD/build/dev/causeway"
for test in tests/scenario/[0-9]*.sh; do
	name=${test##*/}
	one "scenario/${name%.sh}" sh "$test"
done
if [ -n "$crash" ]; then
	for test in tests/crash/[0-9]*.sh; do
		name=${test##*/}
		one "crash/${name%.sh}" sh "$test"
	done
fi
if [ -n "$fuzz" ]; then
	one fuzz sh tests/fuzz/run.sh "$fuzz"
fi
if [ -n "$bench" ]; then
	sh tests/bench/run.sh || failed=$((failed + 1))
fi

[ -z "$failures" ] || echo "failed:$failures"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
