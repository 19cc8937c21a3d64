/*
 * Importing a seed of which no copy of the catalog is left: the volumes' own
 * headers say what is what, and the store is scanned anew.
 *
 * Each volume must be what was signed, or it is left out as a whole.  What
 * the catalog would have told apart stays: a message that moved while the
 * seed was packed may be there under both names.  An import of this kind is
 * not gone on with after an interruption: empty the roots and begin again.
 */
#ifndef CW_SEED_IMPORT_BARE_H
#define CW_SEED_IMPORT_BARE_H

#include "seed/import.h"

/* As cw_import; options->store must be set, and no store of that name here. */
int cw_import_bare(const struct cw_import_options *options,
    struct cw_import_result *result, struct cw_error *err);

#endif
