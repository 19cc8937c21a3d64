# Sourced by run.sh and the tour: puts what they need in place.
#
#   cw_install KIND...  installs the missing packages of packages.txt
#   cw_build PRESET     configures and builds quietly; says what it does

cw_root=$(cd "$(dirname "$0")/.." && pwd)

cw_install() {
	missing=
	for kind in "$@"; do
		for package in $(sed -n "s/^$kind //p" "$cw_root/tests/packages.txt"); do
			dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null |
			    grep -q '^install ok installed' ||
			    missing="$missing $package"
		done
	done
	[ -z "$missing" ] && return 0
	if [ "$(id -u)" -ne 0 ]; then
		echo "These packages are missing; as root, run:" >&2
		echo "  apt-get update && apt-get install --no-install-recommends$missing" >&2
		return 1
	fi
	echo "installing:$missing" | fold -s -w 78 | sed '2,$s/^/  /'
	log=$(mktemp)
	if ! cw_apt $missing >"$log" 2>&1; then
		tail -n 20 "$log" >&2
		rm -f "$log"
		return 1
	fi
	rm -f "$log"
}

# Debian starts a server when its package is installed; not here: a policy
# forbids it meanwhile, unless the machine has one of its own.
cw_apt() (
	policy=/usr/sbin/policy-rc.d
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	if [ ! -e "$policy" ]; then
		trap 'rm -f "$policy"' EXIT
		printf '#!/bin/sh\nexit 101\n' >"$policy" &&
		    chmod 755 "$policy" || exit 1
	fi
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -q &&
	    apt-get install -q -y --no-install-recommends "$@"
)

cw_build() {
	preset=$1
	shift
	log=$(mktemp)
	echo "building ($preset) ..."
	if ! (cd "$cw_root" &&
	    { [ -f "build/$preset/CMakeCache.txt" ] ||
		cmake --preset "$preset" -G Ninja "$@"; } &&
	    cmake --build "build/$preset") >"$log" 2>&1; then
		tail -n 60 "$log" >&2
		rm -f "$log"
		return 1
	fi
	grep -E 'warning:' "$log" >&2 || :
	rm -f "$log"
}
