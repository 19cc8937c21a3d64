# Sourced by the hooks beside it: reads their configuration.  POSIX sh.

hooks_conf=${CAUSEWAY_HOOKS_CONF:-/etc/causeway/hooks.conf}
if [ -e "$hooks_conf" ]; then
	. "$hooks_conf"
elif [ -n "${CAUSEWAY_HOOKS_CONF:-}" ]; then
	echo "$hooks_conf does not exist"
	exit 1
fi

die() {
	echo "$*"
	exit 1
}
