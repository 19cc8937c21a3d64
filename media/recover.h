/*
 * What parity can do for the seed whose media are here: which files can be
 * rebuilt from which others, and rebuilding them.
 *
 * Each 64 KiB column of a group survives as many bad blocks as it has shards,
 * in different files from column to column.  Files of media that are not here
 * are wholly bad.  All that is read is checked by its block's digest, and what
 * is rebuilt by the SHA-256 of the manifest, so nothing wrong comes out even
 * if a medium lies.  The manifest itself has to be a trusted one: what it
 * claims of sizes is believed.
 *
 * Normative: formats/parity/SPEC.md.
 */
#ifndef CW_MEDIA_RECOVER_H
#define CW_MEDIA_RECOVER_H

#include "base/error.h"
#include "base/progress.h"
#include "media/blocks.h"
#include "media/set.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cw_recover;

/*
 * The set must live as long.  Without parity it is allowed, and can nothing.
 * Any threads may call what takes it, at the same time.
 */
int cw_recover_new(
    const struct cw_set *set, struct cw_recover **out, struct cw_error *err);
void cw_recover_free(struct cw_recover *r); /* NULL is allowed */

/* Counts bytes that are read for rebuilding; NULL for none. */
void cw_recover_progress(struct cw_recover *r, struct cw_progress *progress);

/*
 * Notes that a range of a volume or shard was found bad; a whole file is
 * offset 0 and length UINT64_MAX.  Other names are ignored.
 */
void cw_recover_bad(struct cw_recover *r, uint32_t medium, const char *file,
    uint64_t offset, uint64_t length);

/*
 * Whether, by what was noted and what is absent, each byte of a file is there
 * or can be rebuilt.  False for files that are no volumes or shards.
 */
bool cw_recover_can(struct cw_recover *r, const char *file);

/* How many blocks of a volume or shard are bad and can't be, by the same. */
uint64_t cw_recover_lost(struct cw_recover *r, const char *file);

/*
 * Sets the error that so many blocks of a file can't be rebuilt, "FILE: ...":
 * CW_ERR_DAMAGED, or CW_ERR_MISSING where it has no parity.  Returns -1.
 */
int cw_recover_say_lack(struct cw_recover *r, const char *file, uint64_t blocks,
    struct cw_error *err);

/*
 * Writes the whole of a volume or shard, rebuilt where it has to be, to
 * out_fd from its beginning (a regular file, open for writing; it is cut to
 * the right length), and compares its SHA-256 with the manifest's.  It finds
 * bad blocks by itself.
 *
 * CW_ERR_DAMAGED if columns lack too much (the message says how many),
 * CW_ERR_MISSING if the file is in no group or the set has no parity, CW_ERR_IO
 * and CW_ERR_NOSPACE of out_fd, CW_ERR_INTERRUPTED. What was written then is
 * not to be used.
 */
int cw_recover_file(
    struct cw_recover *r, const char *file, int out_fd, struct cw_error *err);

/* ---- for those who want pieces ---- */

/* What is believed of the files that a piece is computed from. */
enum cw_recover_trust {
	CW_RECOVER_BLOCKS, /* blocks whose digest is right */
	CW_RECOVER_BOTH,   /* these, and all of files whose SHA-256 is right */
	CW_RECOVER_FILES,  /* only the latter, whatever the digests say */
};

/* One file being read, with those of its group open. */
struct cw_recover_file;

/*
 * Opens a volume or shard; errors as above.  All trust but BLOCKS reads the
 * files of the group once whole.  Holds (k + m) buffers, together some 16 MiB.
 * One thread at a time.
 */
int cw_recover_open(struct cw_recover *r, const char *file,
    enum cw_recover_trust trust, struct cw_recover_file **out,
    struct cw_error *err);
void cw_recover_close(struct cw_recover_file *f); /* NULL is allowed */

/*
 * Reads count blocks from block number first into out (whole blocks, but for
 * the file's last one), rebuilding those that are bad; is_rebuilt[i] tells
 * which (may be NULL).  CW_ERR_DAMAGED: nothing in out is to be used.
 */
int cw_recover_read(struct cw_recover_file *f, uint64_t first, size_t count,
    uint8_t *out, bool *is_rebuilt, struct cw_error *err);

/*
 * Has the files that are read to rebuild this one hashed on the way: when it
 * is closed, those that were read from beginning to end are known to be good
 * or bad as if they had been read for that.
 */
void cw_recover_hash(struct cw_recover_file *f);

/* Whether a volume or shard was found to have the manifest's SHA-256. */
bool cw_recover_is_good(struct cw_recover *r, const char *file);

/* How many blocks could not be rebuilt, of those that were asked for so far. */
uint64_t cw_recover_lacking(const struct cw_recover_file *f);

/* The most that cw_recover_read takes at once, a good size to ask for. */
size_t cw_recover_run(const struct cw_recover_file *f);

#endif
