/*
 * What a replica of one store consists of: its catalog and tree, and beside
 * the catalog (in STORE_DIR) the changes that are coming in, their contents,
 * and what they replaced.  A plain value: whoever opened the parts closes
 * them.  cw_replica_open does it for all but the catalog.
 */
#ifndef CW_REPLICA_REPLICA_H
#define CW_REPLICA_REPLICA_H

#include "replica/history.h"
#include "replica/incoming.h"
#include "replica/place.h"
#include "replica/staging.h"
#include "store/catalog.h"

struct cw_replica {
	struct cw_catalog *catalog; /* for apply: open for writing */
	struct cw_place *place;
	const struct cw_place_root *roots;
	size_t root_count;
	struct cw_staging *staging;
	struct cw_history *history;
	struct cw_incoming *incoming;
};

/*
 * Opens the parts in store_dir; catalog and roots are borrowed.  The catalog
 * must have its index of contents (cw_catalog_index_contents).  Nothing is
 * applied: see cw_apply_resume.
 */
int cw_replica_open(const char *store_dir, struct cw_catalog *catalog,
    const struct cw_place_root *roots, size_t root_count,
    struct cw_replica *out, struct cw_error *err);
/* Closes what cw_replica_open opened; one of zeros is fine. */
void cw_replica_close(struct cw_replica *r);

#endif
