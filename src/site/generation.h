/*
 * Taking a generation of a store that is active here, for those who follow it:
 * a scan with all contents read, so that every entry has its digest and the
 * state digest is known; and forgetting deletions that all of them have.
 */
#ifndef CW_SITE_GENERATION_H
#define CW_SITE_GENERATION_H

#include "site/command.h"
#include "site/home.h"

struct cw_generation {
	struct cw_scan_result scan;
	struct cw_commands commands;
	uint64_t before; /* the generation that it was */
};

struct cw_generation_options {
	/*
	 * NULL: a command that fails is told in commands, and the generation is
	 * taken all the same.  With one of cw_scan_options the store is about
	 * to be handed over: nothing in it may be older than the rest, and a
	 * command that fails is CW_ERR_MISSING.
	 */
	const char *capture;
	struct cw_progress *progress; /* may be NULL */
	/* As in cw_scan_options; may be NULL. */
	int (*listed)(void *arg, struct cw_catalog *c, struct cw_error *err);
	void *arg;
};

/*
 * The caller holds the store's lock.  CW_ERR_REFUSED unless the store is active
 * here, by its record of the role.  Commands of roots are run first.
 */
int cw_generation_take(const struct cw_home *home,
    const struct cw_config_store *store,
    const struct cw_generation_options *options, struct cw_generation *out,
    struct cw_error *err);

/*
 * Whether the store is active at this site: 1, 0, -1.  With a record of the
 * role, what that says; else what the configuration says.
 */
int cw_home_is_active(const struct cw_home *home,
    const struct cw_config_store *store, struct cw_error *err);

/*
 * CW_ERR_REFUSED unless it is: "store mail is standby at this site: WHERE"; and
 * for roots that hold the home, see cw_home_check_roots.
 */
int cw_home_require_active(const struct cw_home *home,
    const struct cw_config_store *store, const char *where,
    struct cw_error *err);

/*
 * The same for who may open no catalog: only the record is read, and what is
 * wrong with it counts as not active.
 */
bool cw_home_looks_active(
    const struct cw_home *home, const struct cw_config_store *store);

#endif
