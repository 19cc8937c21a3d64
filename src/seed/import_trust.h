/*
 * What an import believes before it opens anything.
 */
#ifndef CW_SEED_IMPORT_TRUST_H
#define CW_SEED_IMPORT_TRUST_H

#include "seed/import.h"

/*
 * Is the seed signed by a paired site, and sealed for us?
 * CW_ERR_UNTRUSTED says with whom to compare which words.
 */
int cw_import_check_trust(
    const struct cw_import_options *o, struct cw_error *err);

/* For who imports full seeds only: CW_ERR_UNSUPPORTED. */
int cw_import_check_full(
    const struct cw_import_options *o, struct cw_error *err);

/*
 * Opens a file of a medium if its SHA-256 is the one listed: the descriptor,
 * or -1 (*err is set only if we were stopped).
 */
int cw_import_open_listed(const struct cw_set_medium *medium, const char *name,
    const struct cw_manifest_file *listed, struct cw_error *err);

#endif
