#!/bin/sh
# Runs the tests.  On a fresh Debian 12: installs what is missing (as root;
# otherwise says what to install), builds, and runs
#   - the unit tests, with ASan and UBSan,
#   - the scenarios of tests/scenario, with the release build where time counts.
#
#   --crash    also stops seed, receive, sync and cutover at system calls
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
workers=
trap 'kill $workers 2>/dev/null; rm -rf "$logs"' EXIT
trap 'exit 130' INT TERM

# plan NAME COMMAND...: a test is skipped when it exits 77.
count=0
plan() {
	echo "$1" | grep -Eq "$only" || return 0
	count=$((count + 1))
	echo "$1" >"$logs/$count.name"
	shift
	printf '%s\n' "$*" >"$logs/$count.command"
}

# Takes the next test that nobody took, until there is none.
work() {
	n=0
	while [ $n -lt "$count" ]; do
		n=$((n + 1))
		mkdir "$logs/$n.taken" 2>/dev/null || continue
		begin=$(date +%s)
		sh -c "exec $(cat "$logs/$n.command")" \
		    >"$logs/$n.out" 2>&1 </dev/null
		echo "$? $(($(date +%s) - begin))" >"$logs/$n.ended.tmp"
		mv "$logs/$n.ended.tmp" "$logs/$n.ended"
	done
}

# What of a failed test's output tells most: each check that failed, with what
# it said; then the end.
why() {
	awk '/^[ \t]*not ok/ { said = 25 } said && said-- { print }' "$1" |
	    head -n 100
	echo '...'
	tail -n 60 "$1"
}

# Runs what was planned, so many at a time, and tells of each in its order.
run_planned() {
	workers=
	for worker in $(seq "$1"); do
		work &
		workers="$workers $!"
	done
	n=0
	while [ $n -lt "$count" ]; do
		n=$((n + 1))
		until [ -e "$logs/$n.ended" ]; do
			sleep 0.1
		done
		read -r status took <"$logs/$n.ended"
		name=$(cat "$logs/$n.name")
		case $status in
		0)
			passed=$((passed + 1))
			echo "ok       $name ($took s)"
			grep -i '^skip' "$logs/$n.out" | sed 's/^/         /'
			;;
		77)
			skipped=$((skipped + 1))
			echo "skipped  $name: $(tail -n 1 "$logs/$n.out")"
			;;
		*)
			failed=$((failed + 1))
			failures="$failures $name"
			echo "FAILED   $name ($took s, status $status)"
			why "$logs/$n.out" | sed 's/^/    /'
			;;
		esac
	done
	wait
	workers=
	rm -rf "$logs"/[0-9]*
	count=0
}

plan layers sh tests/layers.sh
export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1
export LSAN_OPTIONS="suppressions=$PWD/tests/lsan.supp:print_suppressions=0"
for test in build/dev/test_*; do
	[ -x "$test" ] && plan "unit/${test##*/}" "$test"
done
export CAUSEWAY="$PWD/build/release/causeway"
export CAUSEWAY_DEV="$PWD/build/dev/causeway"
for test in tests/scenario/[0-9]*.sh; do
	name=${test##*/}
	plan "scenario/${name%.sh}" sh "$test"
done
run_planned "$(nproc)"
# These take all of the machine, one after another.
if [ -n "$crash" ]; then
	for test in tests/crash/[0-9]*.sh; do
		name=${test##*/}
		plan "crash/${name%.sh}" sh "$test"
	done
fi
if [ -n "$fuzz" ]; then
	plan fuzz sh tests/fuzz/run.sh "$fuzz"
fi
run_planned 1
if [ -n "$bench" ]; then
	sh tests/bench/run.sh || failed=$((failed + 1))
fi

[ -z "$failures" ] || echo "failed:$failures"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
