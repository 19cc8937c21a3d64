#!/bin/sh
# Every byte of the headers of a small seed is flipped, one at a time.
. "$(dirname "$0")/../scenario/lib.sh"
. "$root/tests/scenario/sites.sh"
. "$root/tests/scenario/hostile.sh"
hostile_begin
check "each flipped byte is found, and nothing wrong is ever written" flips 1
cat "$tmp/check.out"
finish
