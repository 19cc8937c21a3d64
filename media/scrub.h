/*
 * Scrubbing: many files read at the speed of their devices, each giving its
 * SHA-256 and XXH3-128 in one pass, and the 64 KiB blocks of it that are not
 * good.  It says what the bytes are; whether they are what was signed is for
 * the caller to compare.
 *
 * Files are read past the page cache unless asked otherwise: those of
 * different disks at the same time, of one disk several at once, the biggest
 * first, or of a disk that turns one at a time.  Partitions of a disk are that
 * disk.  A range that the device cannot read is found to 64 KiB and passed
 * over, and costs the other files nothing.
 */
#ifndef CW_MEDIA_SCRUB_H
#define CW_MEDIA_SCRUB_H

#include "base/crypto.h"
#include "base/error.h"
#include "base/progress.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CW_SCRUB_BLOCK 65536u

/*
 * Ranges that are kept: of those that can't be read, of a file (each may have
 * cost minutes; then the file's rest is one more); of those that are wrong, of
 * a file and of all.  Beyond that a range takes in what is good between it and
 * the next.
 */
#define CW_SCRUB_BAD_MAX   64u
#define CW_SCRUB_WRONG_MAX 4096u
#define CW_SCRUB_TOTAL_MAX 1000000u

enum cw_scrub_state {
	CW_SCRUB_PENDING,   /* not read: somebody asked us to stop */
	CW_SCRUB_READ,	    /* whole; digests are set */
	CW_SCRUB_MISSING,   /* no such file */
	CW_SCRUB_STRANGE,   /* a symlink, directory, fifo or device */
	CW_SCRUB_SIZE,	    /* not of the size expected */
	CW_SCRUB_UNREADABLE /* the device failed: see bad */
};

struct cw_scrub_range {
	uint64_t offset, length; /* bytes; both whole blocks, but at the end */
	bool is_unreadable;	 /* else what is there is wrong or cut off */
};

/* Which file it was that was read: another has another of these. */
struct cw_scrub_identity {
	dev_t device;
	ino_t inode;
	int64_t mtime_ns, ctime_ns;
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
	struct cw_scrub_identity identity;
	/*
	 * Of all bytes if state is READ; of the first `size` bytes of a file
	 * that is longer, where blocks are asked for (is_prefix is set).
	 */
	uint8_t sha256[CW_SHA256_SIZE];
	uint8_t xxh[CW_XXH_SIZE];
	bool is_prefix;
	/*
	 * In order, none touching another of its kind; see cw_scrub_free.  A
	 * file may be READ and have wrong blocks.
	 */
	struct cw_scrub_range *bad;
	size_t bad_count;
	int os_error; /* errno, where the system refused */
};

struct cw_scrub_options {
	unsigned threads; /* files at once; 0: as many as there are cores */
	bool cached;	  /* reading from the page cache will do */
	uint64_t rate;	  /* bytes a second over all files; 0: no limit */
	/* Bytes and files are added as they are read; may be NULL. */
	struct cw_progress *progress;

	/*
	 * The rest may be NULL, and gets arg.  is_good tells whether a block,
	 * counted from 0, has the right digest; threads call it at once.  With
	 * it, a file that was cut, or has grown, is read as far as it goes.
	 *
	 * A thread calls begun before it reads a file, and done when the file
	 * has its state, unless that is PENDING; one thread at a time.
	 */
	void *arg;
	bool (*is_good)(void *arg, const struct cw_scrub_file *file,
	    uint64_t block, const uint8_t xxh[CW_XXH_SIZE]);
	void (*begun)(void *arg, const struct cw_scrub_file *file);
	void (*done)(void *arg, const struct cw_scrub_file *file);
};

/*
 * Reads all files.  What is wrong with a file is in its state; failure is
 * only CW_ERR_INTERRUPTED, with the files that were not finished PENDING.
 * cw_crypto_init must have been called.
 */
int cw_scrub(struct cw_scrub_file *files, size_t count,
    const struct cw_scrub_options *options, struct cw_error *err);

/*
 * Looks at a file without reading it: its state is then READ if it is there
 * with the right size, found and identity are set, digests are not.
 */
void cw_scrub_look(struct cw_scrub_file *file);

/* Frees what cw_scrub put into the files, not the array itself. */
void cw_scrub_free(struct cw_scrub_file *files, size_t count);

#endif
