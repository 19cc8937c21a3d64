/*
 * The beginning of packing: which seed it is, and its ledger in
 * SEEDS/SEED-ID/.
 */
#ifndef CW_SEED_PACK_BEGIN_H
#define CW_SEED_PACK_BEGIN_H

#include "seed/ledger.h"
#include "seed/pack.h"

/*
 * Looks for the store's unfinished seed (or the last one, if a medium of it is
 * to be made again): 0 with its ledger open and *seed_dir its folder, 1 if
 * there is none.  CW_ERR_REFUSED if it was begun with other options, and says
 * which.
 */
int cw_pack_resume(const struct cw_pack_options *o, struct cw_ledger *l,
    int *seed_dir, struct cw_error *err);

/*
 * Begins a seed of the catalog's generation: its folder and its ledger.  The
 * catalog names it before the ledger is there; without a ledger it never began.
 */
int cw_pack_begin(const struct cw_pack_options *o, struct cw_ledger *l,
    int *seed_dir, struct cw_error *err);

#endif
