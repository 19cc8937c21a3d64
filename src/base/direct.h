/*
 * Writing past the page cache.  Large files that nobody reads soon cost the
 * kernel a copy into fresh pages, and a flood when they are synced: of 2.5 GB
 * of mail, 5 s of a core (measured).  Where a filesystem refuses, or a piece
 * is small or does not lie on sectors, it is written in the usual way.
 *
 * A plain value for one descriptor; it opens and closes nothing.
 */
#ifndef CW_BASE_DIRECT_H
#define CW_BASE_DIRECT_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Serves disks of 512 and of 4096 byte sectors. */
#define CW_DIRECT_ALIGN 4096u
/* In memory and file aligned pieces of at least so many bytes go direct. */
#define CW_DIRECT_MIN ((size_t)256 << 10)

struct cw_direct {
	int fd;
	bool is_on;   /* the descriptor's mode now */
	bool is_vain; /* the filesystem does not do it */
};

#define CW_DIRECT_INIT(fd)                                                     \
	{                                                                      \
		(fd), false, false                                             \
	}

/* An aligned buffer, to be freed with free(); never NULL. */
uint8_t *cw_direct_buffer(size_t size);

/* As cw_pwrite_all. */
int cw_direct_pwrite(struct cw_direct *d, const void *data, size_t len,
    uint64_t offset, struct cw_error *err);

/* Back to the usual mode, for whoever else uses the descriptor. */
int cw_direct_off(struct cw_direct *d, struct cw_error *err);

#endif
