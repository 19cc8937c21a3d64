/*
 * The UID guard: before a store is served after a failover, the next UID of
 * every Maildir is raised beyond any that the lost site can have given out, so
 * that no UID which clients saw for a lost message is given to another; and
 * lines of dovecot-uidlist whose message is not there are dropped, since a
 * file that reappears would get a new UID.
 *
 * It happens once an epoch.  What is to be written is noted durably in
 * STORE_DIR/guard first, so a crash and a second run raise nothing twice.
 * Run it while nothing serves the store.
 */
#ifndef CW_SITE_GUARD_H
#define CW_SITE_GUARD_H

#include "base/error.h"
#include "site/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CW_GUARD_FILE	 "guard"
#define CW_GUARD_DEFAULT 100000u

struct cw_guard_result {
	bool was_done;	    /* this epoch was guarded before: nothing to do */
	uint64_t mailboxes; /* with a dovecot-uidlist */
	uint64_t raised;    /* of these, written in this run */
	uint64_t lines_dropped;
	uint64_t broken; /* lists that we can't read: left as they are */
	char first_broken[4096]; /* path of the first one */
};

/*
 * Guards all roots of a store for an epoch.  dirfd is the store's directory.
 * Files keep owner and mode.  A list that is malformed stops nobody: it is
 * counted.  Any other failure is one: run it again.
 */
int cw_guard_run(int dirfd, const struct cw_config_store *store, uint64_t epoch,
    uint32_t raise, struct cw_guard_result *result, struct cw_error *err);

#endif
