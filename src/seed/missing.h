/*
 * Files that were listed and could not be opened under that name when they
 * were to be packed.  A mail program renames a message whenever its flags
 * change or it is moved to another folder; its content never changes.  So a
 * message is looked for under its new name by its inode, or its base name, in
 * all folders of its account, and packed as it was listed: the seed is as of
 * the listing (docs/decisions/busy-stores.md).
 */
#ifndef CW_SEED_MISSING_H
#define CW_SEED_MISSING_H

#include "base/error.h"
#include "seed/source.h"
#include "store/catalog.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* Files that are kept, for some 2 MB of memory. */
#define CW_MISSING_MAX 4096u

enum cw_missing_fate {
	CW_MISSING_UNKNOWN, /* nobody looked for it, or where is not known */
	CW_MISSING_FOUND,
	CW_MISSING_TWICE, /* the same file as another row, which is newer */
	CW_MISSING_GONE,  /* several looks at all of its account missed it */
};

struct cw_missing_file {
	struct cw_entry row; /* name and attributes are those below */
	char *path;	     /* "root/dir/name" */
	uint8_t *attrs;
	enum cw_missing_fate fate;
};

struct cw_missing;

struct cw_missing *cw_missing_new(void);
void cw_missing_free(struct cw_missing *m); /* NULL is allowed */

/* Takes a copy; false if there is no room.  Threads may share it. */
bool cw_missing_add(
    struct cw_missing *m, const struct cw_entry *row, const char *path);

/*
 * Looks for the messages among them.  found is called with an open descriptor
 * (closed after it) and the path it was found under; it returns 1 if the
 * file is packed under that path (CW_MISSING_TWICE), else 0; or -1, which ends
 * all.  A folder that can't be read is CW_ERR_IO.
 */
int cw_missing_chase(struct cw_missing *m, const struct cw_source_root *roots,
    size_t root_count,
    int (*found)(void *arg, const struct cw_missing_file *file, int fd,
	const struct stat *st, const char *path, struct cw_error *err),
    void *arg, struct cw_error *err);

/* What is there, until it is emptied. */
const struct cw_missing_file *cw_missing_files(
    const struct cw_missing *m, size_t *count);
void cw_missing_reset(struct cw_missing *m);

#endif
