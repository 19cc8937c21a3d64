# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by run.sh, media.sh and sync.sh, which define usage and set $here,
# $top, and what their options may change.
#
#   take_option NAMES OPTION VALUE...  sets the variable of an option; so many
#                                      words in $taken
#   wrong_usage                        ends with status 2
#   check_rounds, check_root, check_causeway
#                                      end where it cannot run
#   make_work                          $work with bin/ and logs/, the tools of
#                                      the tests in bin/, and no $results yet
#   note TEXT...                       a line with the time
#   wants NAME                         whether --only has it

wrong_usage() {
	usage >&2
	exit 2
}

take_option() {
	local known=" $1 "
	shift
	taken=1
	case $1 in
	--keep) keep=1 ;;
	--help)
		usage
		exit 0
		;;
	--*)
		case $known in *" ${1#--} "*) ;; *) wrong_usage ;; esac
		[ $# -ge 2 ] || wrong_usage
		printf -v "${1#--}" %s "$2"
		taken=2
		;;
	*) wrong_usage ;;
	esac
}

check_rounds() {
	case $rounds in '' | 0 | *[!0-9]*) wrong_usage ;; esac
}

check_root() {
	[ "$(id -u)" -eq 0 ] && return
	echo "${0##*/}: must be run by root" >&2
	exit 1
}

check_causeway() {
	[ -x "$causeway" ] || {
		echo "${0##*/}: $causeway is not there; build it" >&2
		exit 1
	}
	causeway=$(realpath "$causeway")
}

make_work() {
	if [ -z "$work" ]; then
		work=$(mktemp -d /tmp/causeway-bench.XXXXXX)
	else
		mkdir -p "$work" && work=$(cd "$work" && pwd) || exit 1
	fi
	mkdir -p "$work/bin" "$work/logs" || exit 1
	cc -O2 -o "$work/bin/measure" "$here/measure.c" &&
		cc -O2 -o "$work/bin/mkstore" "$top/tests/tools/mkstore.c" ||
		exit 1
	results=$work/results.tsv
	: >"$results"
	failures=0
}

note() { printf '%s %s\n' "$(date +%T)" "$*" >&2; }
wants() { case ",$only," in *",$1,"*) true ;; *) false ;; esac }
