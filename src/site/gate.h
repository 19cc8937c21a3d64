/*
 * The gate: whether this site may serve a store now.  Mail services are
 * started behind it.  It reads only (and notes that it let somebody pass), so
 * it works with a daemon running, without one, and without the passphrase.
 *
 * It is open if the role is active, nothing is being handed over, no cutover
 * is under way, no peer told of a greater epoch, and one of these holds:
 *   - nobody follows the store: no peer is paired, or no peer ever
 *     acknowledged anything, no seed was ever made, and nobody else was ever
 *     active
 *   - it was open before in this boot, in this epoch
 *   - this site was promoted in this boot
 *   - a human said `gate --force` in this boot
 *   - every peer that follows was heard in this boot, in the last 60 seconds
 */
#ifndef CW_SITE_GATE_H
#define CW_SITE_GATE_H

#include "base/error.h"
#include "formats/minisign/minisign.h"
#include "site/home.h"
#include "site/role.h"

#include <stdbool.h>
#include <stdint.h>

#define CW_GATE_SERVED_FILE "served" /* boot and epoch in which it was open */

struct cw_gate {
	bool is_open;
	enum cw_role_is role;
	uint64_t epoch; /* 0: the store has no generation here */
	/* A word for --json: "unfollowed", "served", "promoted", "forced",
	   "heard"; or "standby", "fenced", "handed-over", "moving", "epoch",
	   "split", "unheard", "unknown". */
	const char *why;
	char reason[512]; /* a sentence: why, and what to do */
};

/* Failure, also for a record that is damaged, is a shut gate. */
int cw_gate_look(const struct cw_home *home,
    const struct cw_config_store *store, struct cw_gate *gate,
    struct cw_error *err);

/* Notes that the store is served, so that a restart of it need not ask. */
int cw_gate_note(const struct cw_home *home,
    const struct cw_config_store *store, uint64_t epoch, struct cw_error *err);

/*
 * A human's word, recorded and signed: see cw_role_force.  The home, or the
 * store's lock, must be ours.
 */
int cw_gate_force(const struct cw_home *home,
    const struct cw_config_store *store,
    const struct cw_minisign_secret *secret, struct cw_error *err);

#endif
