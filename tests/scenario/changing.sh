# Sourced after linked.sh: a store that changes, for scenarios that bring it to
# another site.
#
#   $src                     the tree: $src/mail (Maildirs), $src/conf
#   $m $n $f                 two of its accounts, and the other files
#   changes KIND ARGUMENT... makes changes in the mail, as changes.py says
#   noise SEED BYTES         prints what does not compress and is nowhere else

src=$tmp/source
mkdir "$src" "$src/mail" "$src/conf"
setfattr -n user.probe -v 1 "$src" 2>/dev/null ||
    skip "the filesystem of $tmp has no user attributes"
setfattr -x user.probe "$src"
python3 "$here/tree.py" awkward "$src/conf"
python3 "$here/tree.py" maildirs "$src/mail" 200
find "$src" -name '*.lock' -delete
find "$src" -name half-delivered-message -delete
chmod 755 "$src/mail" "$src/conf"
m=$src/mail/hal.toups@metairie.example n=$src/mail/nora.landry@bay.example
f=$src/conf

changes() {
	changes_kind=$1
	shift
	python3 "$here/changes.py" "$changes_kind" "$src/mail" "$@"
}

noise() {
	python3 -c 'import random, sys
sys.stdout.buffer.write(random.Random(int(sys.argv[1])).randbytes(
    int(sys.argv[2])))' "$1" "$2"
}
