/*
 * Reading the store while it lives: files are opened beneath their roots only,
 * without following links, and looked at before and after they are read.
 * A source is for one thread.
 */
#ifndef CW_SEED_SOURCE_H
#define CW_SEED_SOURCE_H

#include "base/error.h"
#include "store/catalog.h"

#include <sys/stat.h>

struct cw_source_root {
	const char *name; /* first part of the paths in it */
	int dirfd;	  /* the caller's */
};

struct cw_source;

/* roots must outlive it.  The catalog is opened once more, for reading. */
int cw_source_new(const char *catalog_path, const struct cw_source_root *roots,
    size_t count, struct cw_source **out, struct cw_error *err);
void cw_source_free(struct cw_source *s); /* NULL is allowed */

/* The path of an entry, "root/a/b/name"; lives until the next call. */
int cw_source_path(struct cw_source *s, const struct cw_entry *e,
    const char **path, struct cw_error *err);

/*
 * Opens a file for reading: 0 with *fd (the caller's) and *st; 1 if there is
 * no such regular file any more; -1 if it is there and can't be opened.
 */
int cw_source_open(struct cw_source *s, const struct cw_entry *e, int *fd,
    struct stat *st, struct cw_error *err);

/*
 * Is this very file packed under this path ("root/a/name")?  1, 0; -1 on
 * error.  What was told to the catalog and committed counts.
 */
int cw_source_is_packed(struct cw_source *s, const char *path,
    const struct stat *st, struct cw_error *err);

/* Writes what stat says into an entry: size, times, mode, inode. */
void cw_source_note(struct cw_entry *e, const struct stat *st);
/* Whether size, times and inode are those of the entry. */
bool cw_source_is_same(const struct cw_entry *e, const struct stat *st);

/*
 * The data ranges of a sparse file of `size` bytes; *ranges is the caller's.
 * 1 if there are more than a member may have: pack it whole.
 */
int cw_source_ranges(int fd, uint64_t size, struct cw_range **ranges,
    size_t *count, struct cw_error *err);

#endif
