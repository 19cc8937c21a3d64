/*
 * The sealed catalog of a seed, made in the state directory once for all
 * media.
 */
#ifndef CW_SEED_FINISH_CATALOG_H
#define CW_SEED_FINISH_CATALOG_H

#include "seed/pack.h"

/*
 * Exports the catalog, of what changed since base unless that is 0, and seals
 * it; path is that of seed_dir.  *fd is open for reading, the caller's to
 * close; *size is that of the sealed file.
 */
int cw_finish_catalog(const struct cw_pack_options *options, uint64_t base,
    int seed_dir, const char *path, int *fd, uint64_t *size,
    struct cw_error *err);

#endif
