#!/bin/sh
# A seed on disks that are asked for one after another: by JSON, by the hook,
# on a terminal; each filled to its end and taken away when it is full.
. "$(dirname "$0")/lib.sh"
own_mounts "$@"
. "$here/sites.sh"
. "$here/disks.sh"
need jq python3 split
need_disks
need_stopat

a=$tmp/a b=$tmp/b store=$tmp/vmail
mkdir -p "$store/files"
# Nothing that shrinks: it needs three disks, whatever the machine.
head -c 60000000 /dev/urandom | split -b 300000 -a 4 - "$store/files/f"
site_init "$a" metairie >/dev/null && site_init "$b" shreveport >/dev/null &&
    site_pair "$a" "$b" >/dev/null || fail "two sites trust each other"
check "the store is declared" site "$a" store add mail "$store"

# pack ARGUMENTS...: with --to ask, a new seed of small volumes
pack() {
	site "$a" --json seed mail --for shreveport --to ask --volume-size 1M \
	    --new "$@"
}
# blank NAME...: a disk for another seed
blank() {
	for name; do
		rm -rf "$tmp/$name/causeway"
	done
}
# is_full NAME: there is no room for what another volume needs
is_full() {
	[ "$(df -B1 --output=avail "$tmp/$1" | tail -n 1)" -lt 4600000 ]
}

# ---- by lines of JSON; disks of mixed sizes and kinds

disk one 32M || skip "a disk could not be made"
disk two 40M && disk three 80M && disk four 64M || skip "disks failed"
check_status 7 "without anyone to ask it is refused" \
    site "$a" seed mail --for shreveport --to ask
check_status 7 "media that must all be there are not asked for" \
    site "$a" seed mail --for shreveport --to "$tmp/one" --to "$tmp/two" \
    --survive-media 1 --to ask
printf '%s\n' "$tmp/one" "$tmp/nothing" "$tmp" "$tmp/one" "$tmp/two" \
    "$tmp/three" >"$tmp/answers"
pack <"$tmp/answers" >"$tmp/json" 2>"$tmp/asked"
check "three disks are asked for, one after another" [ $? -eq 0 ]
check "each question is an object on a line" sh -c \
    'jq -e ".ask.medium" "$1" | tr "\n" " " | grep -qx "1 2 2 2 2 3 "' \
    sh "$tmp/asked"
asked() {
	jq -r "select(.ask.problem != null).ask.problem" "$tmp/asked"
}
asked >"$tmp/problems"
check "a directory that is not there is explained" \
    grep -q "there is no directory" "$tmp/problems"
check "so is one that nothing is mounted on" \
    grep -q "nothing is mounted on" "$tmp/problems"
check "so is the same disk again" \
    grep -q "is medium 1 again" "$tmp/problems"
check "each is filled to its end" sh -c "$(
	cat <<-'END'
		[ "$(jq '[.media[] | select(.closed)] | length' "$1")" -eq 2 ]
	END
)" sh "$tmp/json"
check "the first has no room for more" is_full one
check "nor has the second" is_full two
check "each has its parity" sh -c \
    'jq -e "all(.media[]; .parity_shards > 0)" "$1"' sh "$tmp/json"

seed=$(jq -r .seed_id "$tmp/json")
check "the first has an open manifest" \
    grep -qx "state open" "$tmp/one/causeway/$seed/MANIFEST"
check "the last has the final one, and a greater revision" sh -c \
    'grep -qx "state final" "$1" && grep -qx "revision 3" "$1"' sh \
    "$tmp/three/causeway/$seed/MANIFEST"
check "only the last one has the catalog" sh -c \
    '! ls "$1"/one/causeway/*/catalog* "$1"/two/causeway/*/catalog* &&
    ls "$1"/three/causeway/*/catalog*' sh "$tmp"
for name in one two three; do
	disk_off $name
	disk_on $name
done
check "all of them verify" \
    site "$b" verify "$tmp/two" "$tmp/three" "$tmp/one"
check "so does the first alone" site "$b" verify "$tmp/one"
check_status 4 "the last alone says what is missing" \
    site "$b" verify "$tmp/three"
check "so does stock software" sh -c \
    'cd "$1" && xxh128sum -c CHECKSUMS >/dev/null' sh "$tmp/two/causeway/$seed"

mkdir "$tmp/replica"
check_status 4 "the last arrives first: the rest is awaited" \
    site "$b" receive "$tmp/three" --store mail --root "$tmp/replica"
check_status 4 "then the first" \
    site "$b" receive "$tmp/one" --store mail --root "$tmp/replica"
check "and the second completes it" \
    site "$b" receive "$tmp/two" --store mail --root "$tmp/replica"
check "all is there" diff -r "$store" "$tmp/replica"

# ---- by the hook

cat >"$tmp/next" <<END
#!/bin/sh
echo "\$CAUSEWAY_HOOK \$CAUSEWAY_MEDIUM \$CAUSEWAY_LABEL \$CAUSEWAY_CLOSED" \
    >>"$tmp/calls"
echo "fetching a disk" >&2
sed -n "\${CAUSEWAY_MEDIUM}p" "$tmp/shelf"
END
chmod +x "$tmp/next"
printf '\n[hooks "mail"]\nmedium = %s\n' "$tmp/next" >>"$a/causeway.conf"
printf '%s\n' "$tmp/three" "$tmp/four" >"$tmp/shelf"
blank three four
check "the hook brings disks" pack
check "it is told which, and what is full" sh -c \
    'grep -q "^medium 2 .* 2 of ? $1/three$" "$1/calls"' sh "$tmp"
check "they verify" site "$b" verify "$tmp/three" "$tmp/four"
printf '%s\n' "$tmp/one" "$tmp/one" >"$tmp/shelf"
blank one
check_status 1 "a hook that has no more disks ends the seed" pack
cp "$tmp/check.out" "$tmp/shown"
check "which says why" grep -q "is medium 1 again" "$tmp/shown"
printf '%s\n' x "$tmp/three" >"$tmp/shelf"
blank three
check "it goes on when there is one" \
    site "$a" seed mail --for shreveport --to ask
check "they verify" site "$b" verify "$tmp/one" "$tmp/three"
sed -i '/^medium = /d' "$a/causeway.conf"

# ---- on a terminal

blank one two three
typed() {
	python3 "$here/answers.py" "$@"
}
check_status 1 "a question can be answered by an interrupt" \
    typed "$tmp/one" "^C" -- "$CAUSEWAY" --home "$a" seed mail \
    --for shreveport --to ask --volume-size 1M --new
cp "$tmp/check.out" "$tmp/shown"
disk_off one
check "the same command goes on, without the full disk" \
    typed "$tmp/one" "" "$tmp/two" "$tmp/three" -- "$CAUSEWAY" --home "$a" \
    seed mail --for shreveport --to ask
cat "$tmp/check.out" >>"$tmp/shown"
for text in \
    "Medium 1, in .*, label $(disk_label one), is full and complete" \
    "Write on it: .* 2 of ?" "Still to come: .*MB" "That will not do: .*/one"; do
	check "the operator reads \"$text\"" grep -q "$text" "$tmp/shown"
done
disk_on one
check "they verify" site "$b" verify "$tmp/one" "$tmp/two" "$tmp/three"
blank one
check_status 1 "a disk is named by its label, and was mounted before" \
    typed LABEL=$(disk_label one) "^C" -- "$CAUSEWAY" --home "$a" seed mail \
    --for shreveport --to ask --volume-size 1M --new
cp "$tmp/check.out" "$tmp/shown"
check "so it stays mounted" mountpoint -q "$tmp/one"
check "and nobody is told to pull it out as it is" sh -c \
    'grep -q "Unmount it; then" "$1" && ! grep -q "It is unmounted" "$1"' sh \
    "$tmp/shown"

# ---- killed in the middle of a disk

blank one two three
rm -rf "$a"/seeds
# When the sixth volume on the second one gets its name, as the seventh file.
"$tmp/stopat" --path "$tmp/two/" --calls renameat,renameat2 --kill 7 \
    "$CAUSEWAY" --home "$a" --json seed mail --for shreveport --to ask \
    --volume-size 1M --new <"$tmp/answers" >"$tmp/json" 2>"$tmp/asked"
check "a seed is killed while it writes the second disk" [ $? -eq 137 ]
printf '%s\n' "$tmp/one" "$tmp/two" "$tmp/three" >"$tmp/answers"
site "$a" --json seed mail --for shreveport --to ask <"$tmp/answers" \
    >"$tmp/json" 2>"$tmp/asked"
check "it is gone on with" [ $? -eq 0 ]
check "the disk that was being written is asked for by its number" sh -c \
    'jq -r "[.ask.medium, .ask.reason] | join(\" \")" "$1" | head -n 2 |
    tr "\n" "," | grep -qx "2 again,2 refused,"' sh "$tmp/asked"
check "they verify" site "$b" verify "$tmp/one" "$tmp/two" "$tmp/three"
check_status 1 "at the end of input the seed waits" \
    typed "$tmp/four" -- "$CAUSEWAY" --home "$a" seed mail --for shreveport \
    --to ask --volume-size 1M --new --parity 2+1
finish
