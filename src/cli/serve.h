/*
 * What the daemon's children do: sessions and generations; see site/daemon.h.
 */
#ifndef CW_CLI_SERVE_H
#define CW_CLI_SERVE_H

#include "cli/cli.h"
#include "site/daemon.h"

struct cw_serve {
	struct cw_cli *cli;
	struct cw_minisign_secret *secret;
};

/* Callbacks of struct cw_daemon_calls; arg is a struct cw_serve. */
int cw_serve_session(void *arg, struct cw_home *home,
    const struct cw_daemon_link *link, struct cw_error *err);
int cw_serve_scan(void *arg, struct cw_home *home,
    const struct cw_config_store *store, struct cw_daemon_scan *result,
    struct cw_error *err);
bool cw_serve_is_active(
    void *arg, const struct cw_home *home, const struct cw_config_store *store);

int cw_serve_mend(void *arg, struct cw_home *home,
    const struct cw_config_store *store, struct cw_error *err);
bool cw_serve_is_cut_off(
    void *arg, const struct cw_home *home, const struct cw_config_store *store);

#endif
