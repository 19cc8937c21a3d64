#!/bin/sh
# What tired hands do with media: the root's disk is not mounted when receive
# is run again, files are deleted in between, a copy of a medium that was cut
# short is given beside the whole one, a medium is read-only.  Nothing that is
# good is lost by it, and nothing that lacks is called whole.
. "$(dirname "$0")/lib.sh"
own_mounts "$@"
. "$here/sites.sh"
need python3 jq split

work=$tmp/work
mkdir "$work"
a=$work/a b=$work/b src=$work/mail dst=$work/replica
for box in ada ben; do
	mkdir -p "$src/$box/cur" "$src/$box/new" "$src/$box/tmp"
	head -c 500000 /dev/urandom | split -b 9000 -a 3 - "$src/$box/cur/m"
done
head -c 500000 /dev/urandom >"$src/ada/cur/large"
ln "$src/ada/cur/maaa" "$src/ben/cur/linked"
touch -d 2026-01-02T03:04:05 "$src"/*/cur/*
python3 "$here/tree.py" list "$src" >"$work/list"
check "two sites are made" sh -c '
	. "$0"/sites.sh; site_init "$1" metairie && site_init "$2" shreveport &&
	site_pair "$1" "$2"' "$here" "$a" "$b"
check "the store is declared" site "$a" store add mail "$src"
mkdir "$work/m1" "$work/m2" "$work/m3" "$work/one" "$work/p1" "$work/p2"
check "a seed on three media" site "$a" seed mail --for shreveport \
    --to "$work/m1" --to "$work/m2" --to "$work/m3" --volume-size 64k \
    --survive-media 1
check "and one on one" site "$a" seed mail --for shreveport \
    --to "$work/one" --volume-size 64k --parity 5+1 --new
mv "$b" "$work/b.new"
cd "$work" || exit 1

fresh() {
	rm -rf "$b" "$dst"
	cp -a "$work/b.new" "$b"
}
receive() {
	site "$b" --json receive "$@" --root "$dst" >"$work/out"
}
is_identical() {
	python3 "$here/tree.py" list "$dst" >"$work/got" &&
	    cmp "$work/got" "$work/list"
}
says() {
	jq -r .error.message "$work/out" | grep -q -- "$1"
}
volumes() {
	find "$1" -type f -name '0*' | wc -l
}

# ---- the root is not what it was

fresh
check_status 4 "one of three media is received" receive m1
mv "$dst" "$work/aside" && mkdir "$dst"
check_status 7 "an empty root, and the rest is refused" receive m2 m3
check "it asks whether the disk is mounted" says "is its disk mounted"
rmdir "$dst" && mv "$work/aside" "$dst"
check "it is: the rest comes" receive m2 m3
check "the tree is identical" is_identical
mv "$dst" "$work/aside" && mkdir "$dst"
check_status 7 "nor is an empty root called whole" receive m1 m2 m3
cp -a one one.copy
fresh
check "another seed is received" receive one.copy
before=$(volumes one.copy)
rm -rf "$dst"
check_status 7 "with --consume nothing is deleted where nothing is" \
    receive one.copy --consume --yes
check "all of it is there" [ "$(volumes one.copy)" -eq "$before" ]
check "--again imports it once more" \
    receive one.copy --consume --yes --again
check "the tree is identical" is_identical
check "and the medium is consumed" [ "$(volumes one.copy)" -eq 0 ]
fresh
receive m1
rm -rf "${dst:?}"/*
check "--again after a part, too" receive m1 m2 m3 --again
check "the tree is identical" is_identical
fresh
receive m1
rm -rf "$dst/ben/cur" "$dst/ada/cur/large"
check_status 4 "files are deleted in between: the next medium comes" \
    receive m2
check "the first one is asked for once more" \
    jq -e '.missing_media | index(1)' "$work/out"
check "and brings them again" receive m1 m3
check "the tree is identical" is_identical

# Its filesystem failed, and is read-only from then on.
fresh
receive m1
if mount --bind "$dst" "$dst" 2>/dev/null &&
    mount -o remount,ro,bind "$dst"; then
	check_status 1 "a root that went read-only ends it" receive m2 m3
	check "at the first volume, not after all of them" \
	    says "^0.*Read-only"
	umount "$dst"
	check "mended, it goes on" receive m2 m3
	check "the tree is identical" is_identical
fi

# Parts of a file lie on all of the media.
fresh
check "without the catalog a file in parts over media is whole" \
    receive m1 m2 m3 --without-catalog --store mail
check "and all others are" diff -r --no-dereference "$src" "$dst"

# A root is often a filesystem of its own.
fresh
mkdir "$dst"
if mount -t tmpfs -o size=64m,mode=700 causeway-test "$dst" 2>/dev/null; then
	mkdir "$dst/lost+found"
	check "without the catalog it goes to a mount point" receive one \
	    --without-catalog --store mail
	rmdir "$dst/lost+found"
	check "all of it" diff -r --no-dereference "$src" "$dst"
	rm -r "$b" && cp -a "$work/b.new" "$b"
	check_status 7 "not beside what is there" receive one \
	    --without-catalog --store mail
	umount "$dst"
fi

# ---- a copy that was cut short

cp -a m1 half
seed=$(cd m1/causeway && echo ????????????????)
ls half/causeway/"$seed"/0*.age | tail -n 3 | xargs rm
truncate -s 9000 "$(ls half/causeway/"$seed"/0*.age | tail -n 1)"
printf damage | dd of="$(ls half/causeway/"$seed"/0*.age | head -n 1)" \
    bs=1 seek=2000 conv=notrunc status=none
for order in "half m1 m2" "m1 half m2"; do
	fresh
	receive $order # two of three: parity can't help out
	check "with $order nothing of medium 1 lacks" jq -e \
	    '.missing_media == [] or .missing_media == [3]' "$work/out"
	check "nor is anything damaged for good" \
	    jq -e '[.faults[] | select(contains("medium 1"))] == []' \
	    "$work/out"
	receive m3
	check "the tree is identical" is_identical
done
check_status 3 "verify finds the copy bad" \
    site "$b" verify m1 half m2 m3 --no-custody
check "repair makes it good" site "$b" repair m1 half m2 m3 --no-custody
check "so it is" site "$b" verify half m2 m3 --no-custody
check "bit by bit" diff -r m1/causeway/"$seed" half/causeway/"$seed" \
    -x CUSTODY

# ---- repair

mkdir ro to
cp -a one bad
seed=$(cd one/causeway && echo ????????????????)
printf damage | dd of="$(echo bad/causeway/*/000003.tar.zst.age)" bs=1 \
    seek=2000 conv=notrunc status=none
check_status 2 "one --to twice" site "$b" repair bad --to to --to to
cp "$tmp/check.out" said
check "is called that" grep -q "given twice" said
if mount --bind bad ro 2>/dev/null && mount -o remount,ro,bind ro; then
	check_status 1 "a read-only medium is not repaired" site "$b" repair ro
	cp "$tmp/check.out" said
	check "the way out is said" grep -q -e "--medium 1 --to DIR" said
	check_status 2 "--to alone does not say which" \
	    site "$b" repair ro --to to
	cp "$tmp/check.out" said
	check "but it is told" grep -q "add --medium 1" said
	umount ro
fi
before=$(sha256sum bad/causeway/*/CUSTODY)
check "it is made again elsewhere" \
    site "$b" repair bad --to to --medium 1
check "and good" site "$b" verify to
check "the log of the old one says nothing of it" \
    [ "$(sha256sum bad/causeway/*/CUSTODY)" = "$before" ]

# A crash in the middle of a rewriting leaves the later manifest in copy/.
check "a seed without parity over media" site "$a" seed mail \
    --for shreveport --to p1 --to p2 --volume-size 64k --new
seed=$(cd p1/causeway && echo ????????????????)
echo more >"$src/ada/cur/more"
mkdir new2
check "a medium of it is made again" \
    site "$a" seed remake "$seed" --medium 2 --to new2
cp new2/causeway/"$seed"/MANIFEST* p1/causeway/"$seed"/copy/
check_status 4 "repair mends the manifest (the other medium lacks)" \
    site "$b" repair p1
check "by the later one" cmp new2/causeway/"$seed"/MANIFEST \
    p1/causeway/"$seed"/MANIFEST
check "in both places" cmp new2/causeway/"$seed"/MANIFEST \
    p1/causeway/"$seed"/copy/MANIFEST

# Neither copy of a manifest can be read: that is damage, and has a way out.
cp -a p1 mute
for f in mute/causeway/"$seed"/MANIFEST mute/causeway/"$seed"/copy/MANIFEST; do
	rm "$f" && mkdir "$f"
done
check_status 4 "a manifest that can't be read is no forgery" \
    site "$b" verify mute
cp "$tmp/check.out" "$tmp/said"
check "the message tells the way out" grep -q -- "--manifest FILE" "$tmp/said"
finish
