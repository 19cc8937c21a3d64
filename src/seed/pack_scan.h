/*
 * The scans of a seed that is packed: one at its beginning, one before each
 * closing pass.
 */
#ifndef CW_SEED_PACK_SCAN_H
#define CW_SEED_PACK_SCAN_H

#include "seed/pack.h"

#include <stdint.h>

/* What the scans of a run found; begins empty. */
struct cw_pack_scanned {
	uint64_t most_entries; /* in the store, of any scan */
	int64_t began_ns;    /* the last one, by the clock that stamps files */
	uint64_t unreadable; /* directories, of the last one */
	struct cw_error first_unreadable;
};

/*
 * Scans the store.  Directories that can't be read are counted: what is known
 * of them stays in the catalog.
 *
 * A store of which less than a tenth is left, or no entry at all, since it was
 * last looked at is most likely one whose disk went away, and must not become a
 * seed: CW_ERR_REFUSED, and the catalog is as before.
 */
int cw_pack_scan(const struct cw_pack_options *o,
    struct cw_pack_scanned *scanned, struct cw_error *err);

#endif
