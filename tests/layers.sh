#!/bin/sh
# The layers of the design: an include points down this list, never up.
# formats/ and src/base neither open files on their own account nor print.
set -u
cd "$(dirname "$0")/.." || exit 1
status=0

rank() {
	case $1 in
	base) echo 0 ;;
	formats) echo 1 ;;
	media) echo 2 ;;
	store) echo 3 ;;
	replica) echo 4 ;;
	seed) echo 5 ;;
	sync) echo 6 ;;
	site) echo 7 ;;
	cli) echo 8 ;;
	*) echo 99 ;;
	esac
}

for file in $(find src formats media -name '*.[ch]'); do
	case $file in
	src/*) layer=${file#src/}; layer=${layer%%/*} ;;
	*) layer=${file%%/*} ;;
	esac
	mine=$(rank "$layer")
	for include in $(sed -n 's/^#include "\([^"]*\)".*/\1/p' "$file"); do
		theirs=$(rank "${include%%/*}")
		if [ "$theirs" -gt "$mine" ]; then
			echo "$file includes $include, which is above it"
			status=1
		fi
	done
done

# Libraries never print and never exit; formats/ opens nothing.
printing=$(grep -nE '\b(printf|puts|putchar|perror|exit) ?\(' \
    $(find src formats media -name '*.c' -not -path 'src/cli/*') |
    grep -vE 'out of (secure )?memory|/\*|^\S+\s+\*')
if [ -n "$printing" ]; then
	echo "libraries neither print nor exit:"
	echo "$printing"
	status=1
fi
opening=$(grep -nE '\b(open|openat|fopen|stat|unlink|rename) ?\(' \
    $(find formats -name '*.c') | grep -vE '/\*|^\S+\s+\*')
if [ -n "$opening" ]; then
	echo "formats/ does no I/O:"
	echo "$opening"
	status=1
fi

# Each header compiles alone; the wire's messages are made first.
made=$(mktemp -d) || exit 1
trap 'rm -rf "$made"' EXIT
protoc-c --c_out="$made" formats/wire/wire.proto || status=1
for header in $(find src formats media -name '*.h'); do
	echo "#include \"$header\"" |
	    ${CC:-gcc} -std=gnu17 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 \
		-I. -Isrc -I"$made" -fsyntax-only -x c - || status=1
done
exit $status
