/*
 * Where a seed must not be written: below a root of a store, which would carry
 * it along, the next time with all seeds before it.
 */
#ifndef CW_CLI_SEED_PLACE_H
#define CW_CLI_SEED_PLACE_H

#include "base/error.h"
#include "site/home.h"

#include <stddef.h>

/*
 * CW_ERR_REFUSED if one of the directories is a root of any store of this
 * site, or lies in one, whatever links lead there.  What is not there or can't
 * be opened passes: who writes to it will say so.
 */
int cw_cli_seed_place(const struct cw_home *home, const char *const *dirs,
    size_t count, struct cw_error *err);

#endif
