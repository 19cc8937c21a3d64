/*
 * A small file of a seed's folder that is there twice, as NAME and copy/NAME:
 * both are read, and whoever knows what is right says which of them serves.
 */
#ifndef CW_MEDIA_TWICE_H
#define CW_MEDIA_TWICE_H

#include "base/buf.h"
#include "base/error.h"
#include "media/set.h"

#include <stdbool.h>
#include <stddef.h>

struct cw_twice {
	/* [0] is NAME, [1] is copy/NAME. */
	char name[2][CW_MANIFEST_NAME_MAX + 1];
	struct cw_buf text[2];
	bool has[2];
	struct cw_error errors[2]; /* why not: see cw_set_read_file */
};

/* Reads both, each of at most max bytes.  Free it. */
void cw_twice_read(struct cw_twice *t, int dirfd, const char *name, size_t max);
void cw_twice_free(struct cw_twice *t);

/* Whether both were read and are the same bytes. */
bool cw_twice_is_same(const struct cw_twice *t);

/*
 * Adds a fault of one of the two to the set: `wrong`, with the reason, if it
 * was read, else `unread`, with why it was not.  reason continues a sentence
 * that begins with the path.
 */
void cw_twice_fault(const struct cw_twice *t, int which, struct cw_set *set,
    size_t medium, enum cw_set_fault_kind wrong, enum cw_set_fault_kind unread,
    const char *reason);

#endif
