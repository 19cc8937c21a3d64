#include "seed/readme.h"

/* What it is good for, and with what. */
static void
add_increment(struct cw_buf *buf, const struct cw_seed_readme *about)
{
	if (about->base == 0)
		return;
	cw_buf_printf(buf,
	    "\n"
	    "This seed is an increment: it holds what changed after "
	    "generation %llu of the\n"
	    "store, and is of use only with a full seed of that generation or "
	    "a later one.\n"
	    "With Causeway it goes into the replica that is there; leave out "
	    "--root:\n"
	    "\n"
	    "    causeway receive DIRECTORY-OF-THIS-FILE/..\n"
	    "\n"
	    "With stock tools unpack the full seed first, and then the volumes "
	    "of all\n"
	    "increments into the same directory, the oldest first.  All mail "
	    "is there\n"
	    "then, but what was moved stands where it was, and what was "
	    "deleted stands\n"
	    "still: the catalog (tables entry and tombstone) says so.\n",
	    (unsigned long long)about->base);
}

/* What else belongs to the seed, and what to do where something is lost. */
static void
add_parity(struct cw_buf *buf, const struct cw_seed_readme *about)
{
	cw_buf_printf(buf,
	    "\n"
	    "This is medium %u of the seed; MEDIUM says of how many, if that "
	    "was known when\n"
	    "it was closed, and MANIFEST of the last medium lists all.  "
	    "Media may be read in\n"
	    "any order.  CHECKSUMS.blocks holds digests of every 64 KiB, and "
	    "is for Causeway.\n",
	    about->medium);
	if (about->parity_k == 0)
		return;
	cw_buf_printf(buf,
	    "\n"
	    "The files NNNNNN.NN.rs hold no mail: they are Reed-Solomon "
	    "parity, %u for %u\n"
	    "volumes.  Damaged or missing volumes are rebuilt from them by "
	    "Causeway alone:\n"
	    "\n"
	    "    causeway repair DIRECTORY-OF-THIS-FILE/.. [those of the "
	    "other media]\n"
	    "\n"
	    "Stock tools need no parity: they get all that is in whole "
	    "volumes.\n",
	    about->parity_m, about->parity_k);
	if (about->survive_media > 0)
		cw_buf_printf(buf,
		    "Volumes and parity are spread: if %u of the media %s "
		    "lost, the others hold all\n"
		    "of the mail.  With stock tools the volumes of all media "
		    "are needed.\n",
		    about->survive_media,
		    about->survive_media == 1 ? "is" : "are");
}

void
cw_seed_readme(struct cw_buf *buf, const struct cw_seed_readme *about)
{
	cw_buf_printf(buf,
	    "This medium carries a sealed copy of a mail store, made by "
	    "Causeway.\n"
	    "Nothing on it can be read without the private age key of the "
	    "site that it\n"
	    "was sealed for (the file keys/age.key of that site).\n"
	    "\n"
	    "With Causeway, at the recovery site:\n"
	    "\n"
	    "    causeway verify  DIRECTORY-OF-THIS-FILE/..\n"
	    "    causeway receive DIRECTORY-OF-THIS-FILE/.. --root DIR\n"
	    "\n"
	    "Without Causeway: Debian packages age, zstd, tar, xxhash, "
	    "minisign "
	    "and\n"
	    "coreutils are enough.  The folder of the seed is %s.\n"
	    "\n"
	    "1. Is everything whole?  In the folder of the seed (no key "
	    "needed):\n"
	    "\n"
	    "       xxh128sum -c CHECKSUMS\n"
	    "\n"
	    "2. Was it made by whom you expect, and is it what he signed?\n"
	    "   Compare the key below with the one you were told; then:\n"
	    "\n"
	    "       minisign -Vm MANIFEST -P %s\n"
	    "       sed -n 's/^file %u [0-9]* \\([0-9a-f]*\\) /\\1  /p' "
	    "MANIFEST |\n"
	    "           sha256sum -c\n"
	    "\n"
	    "3. The mail.  The folder DIR must be empty; run as root, so that "
	    "owners are\n"
	    "   kept; repeat with the volumes of every medium:\n"
	    "\n"
	    "       for v in [0-9]*.tar.zst.age; do\n"
	    "           age -d -i age.key \"$v\" | zstd -d |\n"
	    "               tar -x -p --xattrs --acls -C DIR\n"
	    "       done\n"
	    "\n"
	    "   If a volume is damaged or missing, go on with the others: each "
	    "stands\n"
	    "   alone.  When the volumes of all media are there, join the "
	    "files that were\n"
	    "   cut into pieces (NAME.causeway-part-0001-of-0012 and on), in "
	    "the order of\n"
	    "   their numbers: these have four digits, so the shell's order is "
	    "theirs.\n"
	    "   Then take the ending off the files that only looked like "
	    "pieces:\n"
	    "\n"
	    "       find DIR -name '*.causeway-part-0001-of-*' "
	    "! -name '*-of-0001' \\\n"
	    "           -exec sh -c 'for first; do\n"
	    "               file=${first%%.causeway-part-*} "
	    "count=${first##*-of-}\n"
	    "               set -- \"$file\".causeway-part-?"
	    "?"
	    "?"
	    "?-of-\"$count\"\n"
	    "               [ $# -eq \"$count\" ] && cp -a \"$1\" \"$file\" "
	    "&& shift &&\n"
	    "                   cat \"$@\" >>\"$file\" && "
	    "touch -r \"$1\" \"$file\" &&\n"
	    "                   rm \"$first\" \"$@\" || "
	    "echo \"$file: pieces are missing\"\n"
	    "           done' sh {} +\n"
	    "       find DIR -name '*.causeway-part-0001-of-0001' -exec sh -c "
	    "'\n"
	    "           for f; do mv \"$f\" \"${f%%.causeway-part-*}\"; "
	    "done' sh {} +\n"
	    "\n"
	    "4. What should be there: catalog.sqlite.zst.age is a SQLite "
	    "database, opened\n"
	    "   the same way (age -d, zstd -d); its table entry lists every "
	    "file with\n"
	    "   its SHA-256.  A medium that was full before the end has none: "
	    "see the last\n"
	    "   one.  The folder copy/ holds second copies of the small "
	    "files.\n",
	    about->seed_id, about->minisign_key, about->medium);
	add_parity(buf, about);
	add_increment(buf, about);
}
