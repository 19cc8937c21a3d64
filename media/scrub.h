/*
 * Scrubbing: many files read at the speed of their devices, each giving its
 * SHA-256 and XXH3-128 in one pass.  It says what the bytes are; whether they
 * are what was signed is for the caller to compare.
 *
 * Files are read past the page cache unless asked otherwise, several at once,
 * the biggest first; of a disk that turns one at a time.  A range that the
 * device cannot read is found to 64 KiB and passed over, and costs the other
 * files nothing.
 */
#ifndef CW_MEDIA_SCRUB_H
#define CW_MEDIA_SCRUB_H

#include "base/crypto.h"
#include "base/error.h"
#include "base/progress.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CW_SCRUB_BLOCK	 65536u
#define CW_SCRUB_BAD_MAX 64u /* ranges a file; then its rest is one more */

enum cw_scrub_state {
	CW_SCRUB_PENDING,   /* not read: somebody asked us to stop */
	CW_SCRUB_READ,	    /* whole; digests are set */
	CW_SCRUB_MISSING,   /* no such file */
	CW_SCRUB_STRANGE,   /* a symlink, directory, fifo or device */
	CW_SCRUB_SIZE,	    /* not of the size expected; not read */
	CW_SCRUB_UNREADABLE /* the device failed: see bad */
};

struct cw_scrub_range {
	uint64_t offset, length; /* bytes */
};

struct cw_scrub_file {
	/* The caller's, unchanged. */
	int dirfd;
	const char *name; /* relative to dirfd, resolved beneath it */
	uint64_t size;	  /* bytes expected */
	void *tag;

	/* What was found; zeros before. */
	enum cw_scrub_state state;
	uint64_t found; /* bytes, unless missing or strange */
	uint8_t sha256[CW_SHA256_SIZE];
	uint8_t xxh[CW_XXH_SIZE];
	struct cw_scrub_range *bad; /* in order; see cw_scrub_free */
	size_t bad_count;
	int os_error; /* errno, where the system refused */
};

struct cw_scrub_options {
	unsigned threads; /* files at once; 0: as many as there are cores */
	bool cached;	  /* reading from the page cache will do */
	uint64_t rate;	  /* bytes a second over all files; 0: no limit */
	/* Bytes and files are added as they are read; may be NULL. */
	struct cw_progress *progress;
};

/*
 * Reads all files.  What is wrong with a file is in its state; failure is
 * only CW_ERR_INTERRUPTED, with the files that were not finished PENDING.
 * cw_crypto_init must have been called.
 */
int cw_scrub(struct cw_scrub_file *files, size_t count,
    const struct cw_scrub_options *options, struct cw_error *err);

/* Frees what cw_scrub put into the files, not the array itself. */
void cw_scrub_free(struct cw_scrub_file *files, size_t count);

#endif
