# Sourced by dovecot-stop and dovecot-start: which processes are this Dovecot.
# A machine may run several instances; base_dir tells them apart.

: "${DOVECOT_UNIT:=dovecot.service}"
: "${DOVECOT_STOP_SECONDS:=5}"
: "${DOVECOT_START_SECONDS:=20}"

dovecot_setting() {
	doveconf ${DOVECOT_CONF:+-c "$DOVECOT_CONF"} -h "$1" 2>/dev/null
}

dovecot_base=$(dovecot_setting base_dir) && [ -n "$dovecot_base" ] ||
    die "cannot read Dovecot's configuration ${DOVECOT_CONF:-}"
dovecot_base=$(readlink -f "$dovecot_base" || echo "$dovecot_base")
dovecot_libexec=$(dovecot_setting libexec_dir)

uses_systemd() {
	[ -z "${DOVECOT_CONF:-}" ] && [ -d /run/systemd/system ]
}

# The number that the master wrote down, whether or not it still lives.
master_pid() {
	cat "$dovecot_base/master.pid" 2>/dev/null
}

# Field N of /proc/PID/stat behind the name, which may hold anything: 1 is the
# state, 4 the session.
stat_field() {
	sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f "$2"
}

is_alive() {
	case $(stat_field "$1" 1) in
	'' | Z | X) return 1 ;;
	esac
}

# The session that the processes of this instance are in: that of its master,
# which leads one when it runs in the background.
dovecot_session=
note_session() {
	note_pid=$(master_pid)
	[ -n "$note_pid" ] || return 0
	dovecot_session=$(stat_field "$note_pid" 4)
	: "${dovecot_session:=$note_pid}"
}

# All that lives of this instance.  Processes outlive their master, with its
# session, or with a directory of the instance as working directory or root.
# Only Dovecot's own programs count.
dovecot_processes() {
	for p in /proc/[0-9]*; do
		exe=$(readlink "$p/exe" 2>/dev/null) || continue
		case $exe in
		"$dovecot_libexec"/* | */sbin/dovecot | */sbin/dovecot\ *) ;;
		*) continue ;;
		esac
		pid=${p#/proc/}
		is_alive "$pid" || continue
		if [ -n "$dovecot_session" ] &&
		    [ "$(stat_field "$pid" 4)" = "$dovecot_session" ]; then
			echo "$pid"
			continue
		fi
		for link in cwd root; do
			case $(readlink "$p/$link" 2>/dev/null) in
			"$dovecot_base" | "$dovecot_base"/*)
				echo "$pid"
				break
				;;
			esac
		done
	done
}
