/*
 * Where a seed may not be written: into the store that it is made of, which
 * would then hold its own seed, and each seed the one before; nor into another
 * store of this site, which would carry it along.
 */
#ifndef CW_SEED_PACK_WHERE_H
#define CW_SEED_PACK_WHERE_H

#include "seed/pack.h"

/*
 * CW_ERR_REFUSED if a directory is one of the store's roots, or lies in one and
 * is not excluded, or lies in a root of another store.  One that can't be
 * looked at is 0: opening it will tell.
 */
int cw_pack_where(
    const struct cw_pack_options *o, const char *dir, struct cw_error *err);

#endif
