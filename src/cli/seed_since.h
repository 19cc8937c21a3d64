/*
 * `seed --since-acked`: how far a site is known to be.
 */
#ifndef CW_CLI_SEED_SINCE_H
#define CW_CLI_SEED_SINCE_H

#include "cli/cli.h"

#include <stdint.h>

/*
 * The greatest generation of the store that the site has acknowledged: over
 * the link, or by the receipt of a seed.  CW_ERR_REFUSED if there is none, and
 * what can be done; CW_ERR_USAGE for a site that is not paired.
 */
int cw_cli_seed_since(struct cw_cli *cli, const struct cw_config_store *store,
    const char *site, uint64_t *since, struct cw_error *err);

#endif
