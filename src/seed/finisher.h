/*
 * The finisher: takes volumes that are written and makes them durable (synced,
 * read back, named), one after another, while builders go on; then puts them
 * into the ledger.
 */
#ifndef CW_SEED_FINISHER_H
#define CW_SEED_FINISHER_H

#include "media/durable.h"
#include "seed/ledger.h"
#include "seed/target.h"

#include <stddef.h>
#include <stdint.h>

struct cw_finisher;

/* One volume; what it points to is handed over with it. */
struct cw_finisher_volume {
	struct cw_durable *file; /* taken over */
	struct cw_target_medium *medium;
	uint32_t number;
	uint64_t promised; /* to give back to the target */
};

/* ledger and target are used by the finisher's thread from now on. */
struct cw_finisher *cw_finisher_new(struct cw_ledger *ledger,
    struct cw_target *target);
/* Abandons what waits; waits for what is under way.  NULL is allowed. */
void cw_finisher_free(struct cw_finisher *f);

/*
 * Hands a volume over; waits while two others wait, so that disk speed bounds
 * what lies unsynced in memory.
 */
void cw_finisher_put(struct cw_finisher *f,
    const struct cw_finisher_volume *volume);

/*
 * Waits until all that was handed over is done.  *lost (the caller's to free)
 * are the numbers of volumes that failed since the last call, with *why the
 * first reason; their media take no more volumes.  Returns -1 only if the
 * ledger could not be written.
 */
int cw_finisher_drain(struct cw_finisher *f, uint32_t **lost, size_t *count,
    struct cw_error *why, struct cw_error *err);

#endif
