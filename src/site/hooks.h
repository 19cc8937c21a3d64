/*
 * Hooks: the operator's programs of [hooks "STORE"] that stop, start and move
 * what serves a store.  Each runs with the environment below and no other, in
 * a process group of its own, with a time limit; standard input is empty, and
 * the end of what it prints goes into the message when it fails.
 *
 *   PATH               /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:
 *                      /sbin:/bin
 *   CAUSEWAY_HOOK      "fence", "promote", ...
 *   CAUSEWAY_STORE     the store's name
 *   CAUSEWAY_ROOTS     its directories, one a line: a newline between two
 *                      (a path may hold a colon, never a newline)
 *   CAUSEWAY_ROLE      the role: "active", "standby", "fenced"
 *   CAUSEWAY_EPOCH     decimal
 *   CAUSEWAY_REASON    "switchover", "failover", "put back", ...
 *   CAUSEWAY_HOOKS_CONF, TZ, LANG, LC_ALL: as we have them, if we do
 *
 * A service that a hook starts must not keep the hook's output open: what it
 * prints later is lost, and it may get SIGPIPE.
 */
#ifndef CW_SITE_HOOKS_H
#define CW_SITE_HOOKS_H

#include "base/buf.h"
#include "base/error.h"
#include "site/config.h"

#include <stdbool.h>
#include <stdint.h>

enum cw_hook {
	CW_HOOK_FENCE,
	CW_HOOK_UNFENCE,
	CW_HOOK_QUIESCE,
	CW_HOOK_RESUME,
	CW_HOOK_PROMOTE,
	CW_HOOK_DEMOTE,
	CW_HOOK_ALARM,
	CW_HOOK_MEDIUM, /* `seed --to ask`: brings a medium */
};

#define CW_HOOK_OUTPUT_MAX 4096u /* bytes that are kept, the last ones */

/* The other keys of [hooks "STORE"]. */
struct cw_hook_settings {
	unsigned timeout_ms; /* timeout = 60s: of one hook, and of waiting
				for those who hold the store */
	bool kill_holders;   /* holders = wait | kill */
	uint32_t guard;	     /* guard = 100000: see guard.h */
};

/* Those of a store, or the defaults. */
void cw_hook_settings(const struct cw_config *config, const char *store,
    struct cw_hook_settings *settings);

/* "fence", ... */
const char *cw_hook_name(enum cw_hook hook);

/*
 * Whether a hook could run: 0; 1: none is configured; -1 CW_ERR_USAGE: it is
 * missing, no regular file, not executable, or writable by everybody.
 */
int cw_hook_check(const struct cw_config *config, const char *store,
    enum cw_hook hook, struct cw_error *err);

struct cw_hook_call {
	const char *role; /* cw_role_name() */
	uint64_t epoch;
	const char *reason;
	/* More of the environment, "NAME=VALUE" up to a NULL; may be NULL. */
	const char *const *more;
	/*
	 * Takes the hook's standard output, CW_HOOK_OUTPUT_MAX bytes at most;
	 * what it prints on standard error then goes to ours.  NULL: both are
	 * kept for the message.
	 */
	struct cw_buf *answer;
	/* A descriptor that it gets as its fourth (3), and its children with
	   it: a lock.  Up to 2: none. */
	int hold;
};

/*
 * Runs a hook and waits for it.  0: it ended with status 0; 1: none is
 * configured.  CW_ERR_FAILED: which hook, its status or signal, and what it
 * printed.  After the time limit (CW_HOOK_MEDIUM has a day) its process group
 * gets SIGTERM, and SIGKILL five seconds later; processes that left the group
 * live on.  One whose answer is waited for is stopped like that, too, when we
 * are asked to stop: CW_ERR_INTERRUPTED.
 */
int cw_hook_run(const struct cw_config *config,
    const struct cw_config_store *store, enum cw_hook hook,
    const struct cw_hook_call *call, struct cw_error *err);

#endif
