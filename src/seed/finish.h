/*
 * The end of a seed: the sealed catalog, checksums, manifest and signature,
 * twice on every medium.  Order: everything that the manifest lists, then the
 * manifest, then its signature; a medium with a signature is complete.
 */
#ifndef CW_SEED_FINISH_H
#define CW_SEED_FINISH_H

#include "seed/ledger.h"
#include "seed/pack.h"
#include "seed/target.h"

/*
 * Writes all that and the state directory's own copy of the manifest (in
 * seed_dir).  Volumes are those of the ledger; each must be on a medium that
 * is here, else CW_ERR_REFUSED names those to bring.  Fills the result's
 * media, bytes_written and manifest_sha256.
 */
int cw_finish(const struct cw_pack_options *options, struct cw_ledger *ledger,
    struct cw_target *target, int seed_dir, struct cw_pack_result *result,
    struct cw_error *err);

/* Bytes to keep free on each medium for that, by the number of entries. */
uint64_t cw_finish_reserve(uint64_t entries);

#endif
