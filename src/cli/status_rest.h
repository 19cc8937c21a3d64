/*
 * What `status` says of cutovers that are not done, and of what was put aside
 * after a failover.
 */
#ifndef CW_CLI_STATUS_REST_H
#define CW_CLI_STATUS_REST_H

#include "cli/cli.h"
#include "site/cutover.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* A listing STORE_DIR/diverged/EPOCH.txt. */
struct cw_status_diverged {
	uint64_t epoch;
	uint64_t files;
	char *list; /* its path */
};

struct cw_status_rest {
	enum cw_cutover_rest rest;
	uint64_t epoch;
	bool is_failover; /* that is how the epoch began */
	struct cw_status_diverged *diverged;
	size_t diverged_count;
};

int cw_status_rest_look(const struct cw_home *home,
    const struct cw_config_store *store, const struct cw_role *role,
    struct cw_status_rest *rest, struct cw_error *err);
void cw_status_rest_free(struct cw_status_rest *rest);

/* A word, or null: see causeway(1). */
json_t *cw_status_rest_json(const struct cw_status_rest *rest);
json_t *cw_status_diverged_json(const struct cw_status_rest *rest);
/* Indented sentences; none where there is nothing to say. */
void cw_status_rest_print(const struct cw_status_rest *rest,
    const struct cw_home *home, const char *store);

#endif
