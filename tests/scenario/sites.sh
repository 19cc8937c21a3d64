# Sourced after lib.sh: two sites on one machine, each with a home of its own.
#
#   site_init DIR NAME           makes a home; its card goes to DIR.card
#   site_pair DIR DIR            each trusts the other
#   site DIR COMMAND...          runs a command at a site
#   site_field JSONFILE NAME     one member of the (only) object of a file

site() {
	site_home=$1
	shift
	"$CAUSEWAY" --home "$site_home" "$@"
}

site_init() {
	site "$1" init "$2" &&
	    site "$1" card >"$1.card"
}

site_pair() {
	site "$1" pair "$(cat "$2.card")" &&
	    site "$2" pair "$(cat "$1.card")"
}

site_field() {
	jq -r ".$2" "$1"
}
