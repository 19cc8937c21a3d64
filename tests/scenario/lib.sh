# Sourced by the scenarios.  Each check prints "ok - CLAIM" or "not ok - CLAIM"
# with what the command said; finish gives the exit status.
#
#   check "CLAIM" COMMAND...     the command succeeds
#   check_status N "CLAIM" COMMAND...   it ends with status N
#   await "CLAIM" COMMAND...     the command succeeds within two minutes or so;
#                                only its failure is a check
#   fail "CLAIM"                 a check that failed elsewhere
#   skip "WHAT IS MISSING"       ends the scenario as skipped (77)
#   need PROGRAM...              skips by name where one is not installed
#   need_stopat                  builds $tmp/stopat from tests/tools, or skips
#   own_mounts "$@"              begins again in a mount namespace of its own:
#                                a scenario that runs beside this one keeps no
#                                copy of its mounts, which would hold them
#                                after umount; first thing in a scenario
#   finish                       0 if every check held, else 1
#
# $CAUSEWAY is the program; $tmp a directory of our own, gone in the end.  What
# must be stopped before that goes into at_exit "COMMAND".

set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
: "${CAUSEWAY:=$root/build/release/causeway}"
export LC_ALL=C.UTF-8 TZ=UTC PYTHONDONTWRITEBYTECODE=1
unset CAUSEWAY_PASSPHRASE

# Unix sockets live below $tmp, and their paths may hold 107 bytes only.
tmp=$(mktemp -d /tmp/causeway-test.XXXXXX) || exit 1
lib_exit=
lib_checks=0
lib_failed=0

at_exit() {
	lib_exit="$1; $lib_exit"
}

lib_cleanup() {
	eval "$lib_exit"
	rm -rf "$tmp"
}
trap lib_cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

check() {
	check_status 0 "$@"
}

check_status() {
	lib_want=$1 lib_claim=$2
	shift 2
	"$@" >"$tmp/check.out" 2>&1 </dev/null
	lib_status=$?
	lib_checks=$((lib_checks + 1))
	if [ "$lib_status" -eq "$lib_want" ]; then
		echo "ok - $lib_claim"
		return 0
	fi
	lib_failed=$((lib_failed + 1))
	echo "not ok - $lib_claim"
	echo "    status $lib_status, expected $lib_want: $*" | cut -c 1-400
	{
		head -n 12 "$tmp/check.out"
		tail -n +13 "$tmp/check.out" | tail -n 12
	} | cut -c 1-300 | sed 's/^/    /'
	return 1
}

await() {
	lib_awaited=$1 lib_left=2400
	shift
	until "$@" >/dev/null 2>&1; do
		lib_left=$((lib_left - 1))
		if [ "$lib_left" -eq 0 ]; then
			fail "$lib_awaited"
			return 1
		fi
		sleep 0.05
	done
	echo "ok - $lib_awaited"
}

fail() {
	lib_checks=$((lib_checks + 1))
	lib_failed=$((lib_failed + 1))
	echo "not ok - $*"
}

skip() {
	echo "skip: $*"
	exit 77
}

need() {
	for lib_program in "$@"; do
		command -v "$lib_program" >/dev/null ||
		    skip "$lib_program is not installed"
	done
}

need_stopat() {
	need cc
	cc -O2 -o "$tmp/stopat" "$root/tests/tools/stopat.c" 2>"$tmp/cc" ||
	    skip "tests/tools/stopat.c does not build"
	"$tmp/stopat" true
	[ $? -ne 77 ] || skip "the kernel has no seccomp notifications"
}

own_mounts() {
	[ -z "${causeway_mounts:-}" ] && unshare -m true 2>/dev/null || return 0
	rm -rf "$tmp"
	export causeway_mounts=1
	exec unshare -m --propagation private sh "$0" "$@"
}

finish() {
	[ "$lib_failed" -eq 0 ] && [ "$lib_checks" -gt 0 ] && exit 0
	echo "$lib_failed of $lib_checks checks failed"
	exit 1
}

[ -x "$CAUSEWAY" ] || skip "the program is not built ($CAUSEWAY)"
