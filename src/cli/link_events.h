/*
 * What commands that talk to another site share: the options of a session, and
 * what happens in it shown as lines.
 */
#ifndef CW_CLI_LINK_EVENTS_H
#define CW_CLI_LINK_EVENTS_H

#include "cli/cli.h"
#include "site/cutover.h"
#include "site/session.h"

/* Events are said on standard error; nothing with --quiet or --json. */
void cw_cli_event(void *cli, const char *text);

/*
 * Fills the options for one store: opens the home for writing and the signing
 * key, which is the caller's to free.
 */
int cw_cli_session_options(struct cw_cli *cli, const char *store,
    struct cw_minisign_secret **secret, struct cw_session_options *options,
    struct cw_error *err);

/* Peers that can be dialled: their number. */
size_t cw_cli_reachable_peers(const struct cw_cli *cli);

#endif
