#!/bin/sh
# What verify finds is named to the block, and whether it can be repaired; what
# was read before an interruption is not read again; a certificate says what
# was done, and minisign checks it.
. "$(dirname "$0")/lib.sh"
own_mounts "$@"
. "$here/sites.sh"
need split jq minisign

a=$tmp/a b=$tmp/b store=$tmp/vmail medium=$tmp/medium
mkdir -p "$store/files" "$medium"
# Nothing that shrinks: so many volumes, whatever the machine.
head -c 24000000 /dev/urandom | split -b 400000 -a 4 - "$store/files/f"

site_init "$a" metairie >/dev/null && site_init "$b" shreveport >/dev/null &&
    site_pair "$a" "$b" >/dev/null || fail "two sites trust each other"
check "the store is declared" site "$a" store add mail "$store"
check "a seed with parity 10+1 is made" site "$a" seed mail \
    --for shreveport --to "$medium" --volume-size 1M --parity 10+1
seed=$(cd "$medium/causeway" && echo ????????????????)
dir=$medium/causeway/$seed
cp -a "$medium" "$tmp/good"

# found ARGUMENT...: the object that verify prints; is FILTER VALUE looks into it
found() { # arguments of verify
	site "$b" --json verify "$@" --no-custody >"$tmp/found.json" 2>&1
}
field() {
	jq -c "$1" "$tmp/found.json"
}
is() {
	lib_got=$(field "$1")
	[ "$lib_got" = "$2" ] || {
		echo "$1 is $lib_got, expected $2"
		jq -c 'del(.media)' "$tmp/found.json"
		false
	}
}
flip() { # file, offset: one byte becomes another
	byte=$(od -An -tu1 -j "$2" -N 1 "$1" | tr -d ' ')
	printf "\\$(printf %o $((byte ^ 85)))" |
	    dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
restore() {
	rm -rf "$medium" && cp -a "$tmp/good" "$medium"
}

# ---- what is damaged, to the block ----
found "$medium"
check "a good seed is good" is .status '"ok"'
check "every byte of it was read" sh -c '[ "$1" = "$2" ]' sh \
    "$(field .bytes)" "$(cat "$dir"/0* "$dir/CHECKSUMS.blocks" \
    "$dir/copy/CHECKSUMS.blocks" "$dir/catalog.sqlite.zst.age" \
    "$dir/copy/catalog.sqlite.zst.age" | wc -c)"

flip "$dir/000002.tar.zst.age" 131072
flip "$dir/000002.tar.zst.age" 262143 # the second of two blocks in a row
flip "$dir/000003.tar.zst.age" 1048575
found "$medium"
check "two places are damaged and can be repaired" is .status '"repairable"'
check "they are named to the block" is \
    '.damaged|map([.file,.offset,.length,.medium,.repairable])' \
    '[["000002.tar.zst.age",131072,131072,1,true],["000003.tar.zst.age",983040,65536,1,true]]'
check_status 3 "and the status is 3" site "$b" verify "$medium" --no-custody
check "the command to type is named" jq -e --arg dir "$medium" \
    '.error.message|contains("`causeway repair \($dir)`")' "$tmp/found.json"
flip "$dir/000004.tar.zst.age" 1000000 # the same column as in 000003
found "$medium"
check "two in a column can't be repaired, the others can" is \
    '.damaged|map([.file,.repairable])' \
    '[["000002.tar.zst.age",true],["000003.tar.zst.age",false],["000004.tar.zst.age",false]]'
check_status 4 "and the status is 4" site "$b" verify "$medium" --no-custody
restore
truncate -s 500000 "$dir/000005.tar.zst.age"
found "$medium"
check "a cut volume is bad from the cut on, and repairable" is \
    '.damaged|map([.file,.offset,.length,.repairable])' \
    '[["000005.tar.zst.age",458752,589824,true]]'
restore
rm "$dir/000001.01.rs"
found "$medium"
check "a shard that is gone is repairable" is '[.status,.missing[]]' \
    '["repairable","000001.01.rs"]'
rm "$dir/000005.tar.zst.age"
check_status 4 "but not with a volume of its group" \
    site "$b" verify "$medium" --no-custody
restore
rm "$dir/CHECKSUMS.blocks" "$dir/copy/CHECKSUMS.blocks"
check_status 3 "digests of blocks that are gone can be computed" \
    site "$b" verify "$medium" --no-custody
flip "$dir/000002.tar.zst.age" 131072
found "$medium"
check "without them the whole volume is bad" is \
    '.damaged|map([.file,.offset,.length,.repairable])' \
    '[["000002.tar.zst.age",0,1048576,true]]'
restore

# ---- quick ----
flip "$dir/000002.tar.zst.age" 131072
found "$medium" --quick
check "--quick reads no volume" sh -c '[ "$1" -lt 1048576 ]' sh "$(field .bytes)"
check "and does not see what is in it" is .status '"ok"'
truncate -s 1000000 "$dir/000003.tar.zst.age"
check_status 3 "but its size" site "$b" verify "$medium" --quick
restore

# ---- an interruption ----
lines() {
	cat "$1" 2>/dev/null | grep -c '^file '
}
lines_bytes() {
	awk '$1 == "file" { n += $3 } END { printf "%d", n }' "$1"
}
# interrupt SIGNAL FILE COMMAND...: ends it when FILE has three lines
interrupt() {
	lib_signal=$1 lib_file=$2
	shift 2
	begun=$(date +%s%N)
	"$@" >"$tmp/interrupted" 2>&1 &
	pid=$!
	while kill -0 $pid 2>/dev/null && [ "$(lines "$lib_file")" -lt 3 ]; do
		sleep 0.02
	done
	kill "-$lib_signal" $pid 2>/dev/null
	wait $pid 2>/dev/null
	lib_status=$?
	took=$((($(date +%s%N) - begun) / 1000000))
}
progress=$b/verify/$seed
rate=4194304
interrupt KILL "$progress" "$CAUSEWAY" --home "$b" verify "$medium" \
    --rate 4M --no-custody
before=$(lines_bytes "$progress")
check "a run that is killed leaves what it has read" \
    [ "$(lines "$progress")" -ge 3 ]
check "it kept to its rate ($before bytes in $took ms)" \
    [ "$before" -le $((rate / 1000 * took + 1048576)) ]
found "$medium"
check "the next one goes on from there" is .bytes_before "$before"
check "and finds all of it good" is .status '"ok"'
check "nothing is left to go on with" [ ! -e "$progress" ]
found "$medium"
check "so the run after it reads all" is .bytes_before 0

interrupt INT "$progress" "$CAUSEWAY" --home "$b" verify "$medium" \
    --rate 4M --no-custody
check "a run that is interrupted fails" [ "$lib_status" -ne 0 ]
check "and says that the same command goes on" \
    grep -q "goes on where it was" "$tmp/interrupted"
first=$(sed -n 's/^file .* //p' "$progress" | head -n 1)
flip "$dir/$first" 70000
before=$(lines_bytes "$progress")
size=$(stat -c %s "$dir/$first")
found "$medium"
check "a file that changed meanwhile is read again" \
    is '[.damaged[].file, .bytes_before]' "[\"$first\",$((before - size))]"
restore

interrupt KILL "$tmp/progress" env HOME=/nonexistent "$CAUSEWAY" verify \
    "$medium" --signer "$a/keys/minisign.pub" --rate 4M --resume "$tmp/progress"
before=$(lines_bytes "$tmp/progress")
"$CAUSEWAY" --json verify "$medium" --signer "$a/keys/minisign.pub" \
    --resume "$tmp/progress" >"$tmp/found.json"
check "without a home, --resume goes on" is .bytes_before "$before"
check "from at least three files" [ "$before" -gt 0 ]
check "and the file is gone" [ ! -e "$tmp/progress" ]
interrupt KILL "$progress" "$CAUSEWAY" --home "$b" verify "$medium" \
    --rate 4M --no-custody
found "$medium" --fresh
check "--fresh reads all" is '[.status,.bytes_before]' '["ok",0]'
echo "a letter" >"$tmp/letter"
check_status 7 "a file of something else is no progress" \
    site "$b" verify "$medium" --resume "$tmp/letter"
check "and is left alone" grep -q letter "$tmp/letter"

# ---- certificate ----
stock() {
	minisign -Vm "$1" -p "$2/keys/minisign.pub"
}
check "a certificate is written" \
    site "$b" verify "$medium" --certificate "$tmp/cert"
check "minisign checks it" stock "$tmp/cert" "$b"
check_status 1 "as this site's and nobody else's" stock "$tmp/cert" "$a"
check "it says what was verified" grep -qx "seed $seed" "$tmp/cert"
check "by the digest of the manifest" grep -qx \
    "manifest $(sha256sum "$dir/MANIFEST" | cut -d ' ' -f 1)" "$tmp/cert"
check "by whom" grep -qx "verified-by shreveport" "$tmp/cert"
check "how" grep -qx "method device" "$tmp/cert"
check "and what was found" grep -qx "result ok" "$tmp/cert"
check "the event is in the seed's log" sh -c \
    '"$0" custody "$1" | grep -q verified' "$CAUSEWAY" "$medium"
flip "$dir/000002.tar.zst.age" 131072
check_status 3 "damage is certified, too" \
    site "$b" verify "$medium" --cached --certificate "$tmp/cert"
check "to the block" grep -qx \
    "bad 1 131072 65536 repairable 000002.tar.zst.age" "$tmp/cert"
check "and how it was read" grep -qx "method cached" "$tmp/cert"
check "and is signed" stock "$tmp/cert" "$b"
restore
check_status 7 "without a home there is nobody to sign" \
    env HOME=/nonexistent "$CAUSEWAY" verify "$medium" \
    --signer "$a/keys/minisign.pub" --certificate "$tmp/none"
check_status 5 "a seed that nobody trusts" site "$b" verify "$medium" \
    --signer "$b/keys/minisign.pub" --certificate "$tmp/none"
check "gets no certificate" [ ! -e "$tmp/none" ]
check_status 1 "a place that can't be written to is told before the reading" \
    site "$b" verify "$medium" --certificate "$tmp/nowhere/cert"

# ---- media that are not here ----
mkdir "$tmp/m1" "$tmp/m2" "$tmp/m3" "$tmp/away"
check "a seed that survives a medium is made" site "$a" seed mail --new \
    --for shreveport --to "$tmp/m1" "$tmp/m2" "$tmp/m3" --volume-size 1M \
    --survive-media 1
found "$tmp/m1" "$tmp/m2" "$tmp/m3"
check "it is good" is .status '"ok"'
for i in 1 2 3; do
	mv "$tmp/m$i/causeway" "$tmp/away"
	set --
	for j in 1 2 3; do
		[ $i = $j ] || set -- "$@" "$tmp/m$j"
	done
	found "$@"
	check "without medium $i it is repairable" \
	    is '[.status,.missing_media]' "[\"repairable\",[$i]]"
	mv "$tmp/away/causeway" "$tmp/m$i"
done
check "who is asked for is named" jq -e \
    '.error.message|contains("not here: medium 3") and contains("--to DIR")' \
    "$tmp/found.json"
found "$tmp/m2"
check "without two it is not" is '[.status,.missing_media]' \
    '["damaged",[1,3]]'
check_status 4 "and the status is 4" site "$b" verify "$tmp/m2" --no-custody

# ---- a disk that can't be read in places ----
# Behind the end of its backing file, which is cut while it is mounted.  Loop
# devices that read by way of the page cache give zeros there, no error.
claim="a disk that can't be read in places"
[ "$(id -u)" -eq 0 ] && command -v losetup >/dev/null &&
    command -v mkfs.ext4 >/dev/null && command -v filefrag >/dev/null || {
	echo "skip: $claim (needs root, losetup, mkfs.ext4, filefrag)"
	finish
}
truncate -s 64M "$tmp/disk.img"
mkfs.ext4 -q -F -m 0 -O ^has_journal "$tmp/disk.img" ||
    fail "a filesystem is made"
loop=$(losetup --direct-io=on -f --show "$tmp/disk.img" 2>/dev/null) &&
    [ "$(losetup -n -O DIO "$loop" | tr -d ' ')" = 1 ] || {
	[ -z "$loop" ] || losetup -d "$loop"
	echo "skip: $claim (no loop device that reads past the page cache)"
	finish
}
mkdir "$tmp/disk"
at_exit "umount '$tmp/disk' 2>/dev/null; losetup -d $loop"
# One volume comes behind all other files, so that the cut takes it alone.
late=causeway/$seed/000003.tar.zst.age
mount "$loop" "$tmp/disk" &&
    tar c -C "$tmp/good" --exclude "$late" causeway | tar xp -C "$tmp/disk" &&
    sync -f "$tmp/disk" && cp -a "$tmp/good/$late" "$tmp/disk/$late" &&
    umount "$tmp/disk" && mount -r "$loop" "$tmp/disk" ||
    fail "a medium is made"
# The file that ends last on the disk.
find "$tmp/disk/causeway" -type f | while read -r f; do
	echo "$(filefrag -v "$f" | awk -F '[ .:]+' '/^ *[0-9]+:/ {
		if ($6 > end) end = $6 } END { print end + 0 }') ${f##*/}"
done | sort -n | tail -n 1 >"$tmp/last"
read -r end last <"$tmp/last"
check "that volume lies last" [ "$last" = "${late##*/}" ]
# With its last 100,000 bytes, whole pages, two blocks of 64 KiB are gone.
block=$(stat -f -c %S "$tmp/disk")
truncate -s $((((end + 1) * block - 100000) / 4096 * 4096)) "$tmp/disk.img"
found "$tmp/disk"
check "$claim is named to the block" is \
    ".damaged|map(select(.file==\"$last\")|[.offset,.length,.repairable])" \
    '[[917504,131072,true]]'
check "and said to be unreadable" jq -e --arg last "$last" \
    '.damaged[]|select(.file==$last)|.reason|contains("be read")' \
    "$tmp/found.json"
check "what was read of it is kept, and the rest is tried again" sh -c \
    '[ -s "$1" ] && ! grep -q " $2\$" "$1"' sh "$progress" "$last"
finish
