/*
 * A file on a medium, written whole and proven: nothing counts as written
 * that was not synced, read back past the page cache and compared.  A write
 * that succeeds says nothing; a pulled disk takes writes for minutes, and a
 * full thin one refuses only at the sync.
 *
 * The bytes go to "NAME.tmp"; the name appears with the last step.  A crash
 * leaves the .tmp file, or the whole one; the next cw_durable_open of the
 * name replaces the .tmp file.
 *
 * Hashing and writing run in a thread of the file's own, past the page cache
 * where the filesystem allows that: it saves the kernel's copy and the flood
 * at the sync (of 1.6 GB in two files at once: 0.3 s of system time instead
 * of 1.0, measured).  Each file holds about 4 MiB of memory, and 16 bytes for
 * each 64 KiB that were written.
 */
#ifndef CW_MEDIA_DURABLE_H
#define CW_MEDIA_DURABLE_H

#include "base/crypto.h"
#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

struct cw_durable;

#define CW_DURABLE_BLOCK 65536u /* bytes */

struct cw_durable_result {
	uint64_t size; /* bytes */
	uint8_t sha256[CW_SHA256_SIZE];
	uint8_t xxh[CW_XXH_SIZE];
	/*
	 * XXH3-128 of each CW_DURABLE_BLOCK of the file, the last of which may
	 * be short.  They are the cw_durable's, and alive until it is freed.
	 */
	uint8_t (*blocks)[CW_XXH_SIZE];
	size_t block_count;
};

/*
 * Told, in order, of all that was read back and is as it was written, in
 * pieces whose len is a multiple of CW_DURABLE_BLOCK but for the last.
 */
typedef void cw_durable_each(
    void *arg, uint64_t offset, const uint8_t *data, size_t len);

/*
 * Begins a file of mode 0644 in the directory dirfd, which need not
 * stay open.  name has no slash, or one whose directory exists;
 * no component may be a symlink.  An old "NAME.tmp" is removed; an old NAME
 * stays until cw_durable_finish replaces it.
 *
 * expected_size is a hint for the filesystem, 0 if unknown; more or less may
 * be written, and a disk that lacks that much room is no error yet.
 */
int cw_durable_open(int dirfd, const char *name, uint64_t expected_size,
    struct cw_durable **out, struct cw_error *err);

/*
 * Appends.  CW_ERR_NOSPACE when the disk is full, CW_ERR_IO when it fails;
 * the file can then only be freed.
 */
int cw_durable_write(
    struct cw_durable *d, const void *data, size_t len, struct cw_error *err);

/* Gives another name to a file that has not got its own yet. */
int cw_durable_rename(
    struct cw_durable *d, const char *name, struct cw_error *err);

/*
 * The first half of finish: all but the name.  The caller can write down what
 * the file is before it appears; what is then found under NAME or NAME.tmp,
 * of that size, is this file and no other.
 *
 * each may be NULL.  What it was told counts only if this returns 0.
 */
int cw_durable_prove(struct cw_durable *d, cw_durable_each *each, void *arg,
    struct cw_durable_result *result, struct cw_error *err);

/*
 * Syncs, drops the file from the page cache, reads it back from the device,
 * compares, gives it its name, syncs the directory.  It is slow, and may run
 * in another thread than the writes did.
 *
 * CW_ERR_NOSPACE and CW_ERR_IO as above, CW_ERR_DAMAGED where what came back
 * differs from what was written (the message says where).  After a failure
 * the .tmp file is gone, and NAME, if there was one, is as it was; unless
 * syncing the directory was what failed: then the name may be there.
 */
int cw_durable_finish(struct cw_durable *d, struct cw_durable_result *result,
    struct cw_error *err);

/* Frees; abandons a file that is not finished (NULL is allowed). */
void cw_durable_free(struct cw_durable *d);

#endif
