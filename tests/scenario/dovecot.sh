# Sourced after lib.sh: Dovecot at a site, with a configuration, sockets and
# logs of its own, beside any other Dovecot of the machine.
#
#   dovecot_need                     skips, by name, what can't run here
#   dovecot_start DIR STORE HOST     serves STORE/<user>; HOST is its name
#   dovecot_stop DIR                 returns when its last process is gone
#   dovecot_is_content DIR           its log has no warning and no error; that
#                                    it had to wait for the processor is none
#
# IMAP and LMTP are the Unix sockets DIR/imap and DIR/lmtp: no port is taken.
# Every user exists, with the password "secret".  Mail belongs to the numeric
# user and group $dovecot_owner.

dovecot_owner=5000

dovecot_need() {
	[ "$(id -u)" -eq 0 ] || skip "Dovecot of our own needs root"
	need dovecot python3 setsid jq
	[ -e /usr/lib/dovecot/imap ] || skip "dovecot-imapd is not installed"
	[ -e /usr/lib/dovecot/lmtp ] || skip "dovecot-lmtpd is not installed"
}

dovecot_configure() {
	cat >"$1/dovecot.conf" <<END
protocols = imap lmtp
listen = 127.0.0.1
base_dir = $1/run
state_dir = $1/state
log_path = $1/log
import_environment = TZ DOVECOT_HOSTNAME
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_username_format = %Ln
shutdown_clients = yes

mail_location = maildir:~/
mail_uid = $dovecot_owner
mail_gid = $dovecot_owner
first_valid_uid = 1
first_valid_gid = 1
mail_fsync = never
mail_max_userip_connections = 0

passdb {
  driver = static
  args = password=secret
}
userdb {
  driver = static
  args = uid=$dovecot_owner gid=$dovecot_owner home=$2/%n allow_all_users=yes
}

namespace inbox {
  inbox = yes
}

default_vsz_limit = 512 M
service imap-login {
  chroot =
  inet_listener imap {
    port = 0
  }
  inet_listener imaps {
    port = 0
  }
  unix_listener $1/imap {
    mode = 0666
  }
}
service lmtp {
  unix_listener $1/lmtp {
    mode = 0666
  }
}
service stats {
  unix_listener stats-writer {
    mode = 0666
  }
}
END
}

dovecot_start() {
	mkdir -p "$1/run" "$1/state"
	chmod 755 "$1" "$1/run"
	rm -f "$1/imap" "$1/lmtp"
	dovecot_configure "$1" "$2"

	# In a session of its own, so that its last process can be known.
	DOVECOT_HOSTNAME=$3 setsid dovecot -F -c "$1/dovecot.conf" \
	    >>"$1/stderr" 2>&1 </dev/null &
	echo $! >"$1/pid"
	at_exit "dovecot_stop '$1'"
	if ! python3 "$here/imap.py" wait "$1"; then
		echo "Dovecot did not start:" >&2
		cat "$1/stderr" "$1/log" >&2
		return 1
	fi
}

# The processes of a session, zombies aside.
dovecot_processes() {
	cat /proc/[0-9]*/stat 2>/dev/null |
	    sed 's/^\([0-9]*\) (.*) /\1 /' |
	    awk -v session="$1" '$5 == session && $2 != "Z" { print $1 }'
}

dovecot_is_content() {
	! grep -vE ": (Info|Debug): |Warning: Time moved forwards by " "$1/log"
}

dovecot_stop() {
	[ -e "$1/pid" ] || return 0
	dovecot_session=$(cat "$1/pid")
	kill -TERM "$dovecot_session" 2>/dev/null
	dovecot_tries=0
	while [ -n "$(dovecot_processes "$dovecot_session")" ]; do
		dovecot_tries=$((dovecot_tries + 1))
		if [ "$dovecot_tries" -eq 300 ]; then
			kill -KILL $(dovecot_processes "$dovecot_session") \
			    2>/dev/null
		fi
		if [ "$dovecot_tries" -eq 600 ]; then
			echo "Dovecot does not stop" >&2
			return 1
		fi
		sleep 0.1
	done
	rm -f "$1/pid"
}
