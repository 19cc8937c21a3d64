/*
 * Whether a store held still: a digest of a walk over its roots, taken twice.
 * Of every entry count its directory's inode, name, inode, mode, size, mtime
 * and ctime.  Nothing is read.
 */
#ifndef CW_SITE_STILL_H
#define CW_SITE_STILL_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

#define CW_STILL_SIZE 32u

struct cw_still_root {
	const char *path;
	/* The mail format ("maildir"): directories that tell by their mtime
	   are looked at instead of the files in them.  NULL: every file. */
	const char *format;
};

/*
 * Equal digests of two walks: nothing was made, removed, renamed or written
 * between the end of the first and the beginning of the second.  An entry that
 * vanishes during a walk is no error: the digests will differ.
 */
int cw_still_digest(const struct cw_still_root *roots, size_t root_count,
    uint8_t out[CW_STILL_SIZE], struct cw_error *err);

#endif
