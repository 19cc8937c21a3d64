/*
 * Roots whose file a command of another site made, and which no command makes
 * here, where the store is active now: what to say of them.
 */
#ifndef CW_CLI_UNTENDED_H
#define CW_CLI_UNTENDED_H

#include "cli/cli.h"
#include "site/command.h"

/* The sentence for one; the caller frees it. */
char *cw_cli_untended(const struct cw_cli *cli,
    const struct cw_config_store *store, const struct cw_config_root *root);

/* Warns of each that a store has. */
void cw_cli_warn_untended(struct cw_cli *cli,
    const struct cw_config_store *store, struct cw_catalog *c);

#endif
