/*
 * Where the entries of a store are for those who look at its directories.  In
 * the catalog every path begins with a root's name; people name what lies
 * below the root's directory, and only with several roots put the root's name
 * in front.
 */
#ifndef CW_CLI_LISTING_H
#define CW_CLI_LISTING_H

#include "base/buf.h"
#include "base/error.h"
#include "store/catalog.h"

#include <stdbool.h>
#include <stddef.h>

struct cw_listing {
	struct cw_catalog *catalog;
	const struct cw_root *roots;
	size_t root_count;
	size_t cut; /* bytes of catalog paths that are not shown */
	struct cw_buf path;
};

/* Only looks at catalog, which must stay. */
void cw_listing_begin(struct cw_listing *l, struct cw_catalog *catalog);
void cw_listing_end(struct cw_listing *l);

/*
 * The catalog's path of what an operator names ("" for the top), appended to
 * out.  Slashes at the ends are left out.
 */
void cw_listing_resolve(
    const struct cw_listing *l, const char *path, struct cw_buf *out);

/*
 * The path of an entry as people name it, "" for the directory of a single
 * root; it lives until the next call.
 */
int cw_listing_path(struct cw_listing *l, const struct cw_entry *e,
    const char **path, size_t *len, struct cw_error *err);

/*
 * Whether the directory of this id is the one of the catalog's path top, or
 * lies below it: 1, 0, -1.
 */
int cw_listing_is_below(struct cw_listing *l, int64_t dir,
    const struct cw_buf *top, struct cw_error *err);

/*
 * Prints the whole store as an mtree specification that NetBSD's mtree checks
 * (mtree-netbsd: mtree -p DIR -f SPEC): type, mode, owner, group; of files
 * size, time, SHA-256; of symlinks the target.  Times of directories are left
 * out, since they are no part of a store.
 */
int cw_mtree_print(struct cw_listing *l, const char *store, uint64_t generation,
    struct cw_error *err);

#endif
