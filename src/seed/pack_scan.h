/*
 * The scans of a seed that is packed: one at its beginning, one before each
 * closing pass.
 */
#ifndef CW_SEED_PACK_SCAN_H
#define CW_SEED_PACK_SCAN_H

#include "seed/pack.h"

#include <stdint.h>

/*
 * Scans the store.  *most_entries is the most that this run has seen in it (0
 * at first), and is raised; *began_ns is when the scan began, by the clock that
 * stamps files.
 *
 * A store of which less than a tenth is left, or no entry at all, since it was
 * last looked at is most likely one whose disk went away, and must not become a
 * seed: CW_ERR_REFUSED, and the catalog is as before.
 */
int cw_pack_scan(const struct cw_pack_options *o, uint64_t *most_entries,
    int64_t *began_ns, struct cw_error *err);

#endif
