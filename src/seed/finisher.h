/*
 * The finisher: takes volumes that are written and makes them durable (synced,
 * read back, named, in the ledger and in a group) while builders go on; those
 * of one medium one after another, those of different media at the same time.
 */
#ifndef CW_SEED_FINISHER_H
#define CW_SEED_FINISHER_H

#include "media/durable.h"
#include "seed/parity.h"
#include "seed/target.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cw_finisher;

/* One volume; what it points to is handed over with it. */
struct cw_finisher_volume {
	struct cw_durable *file; /* taken over */
	struct cw_target_place place;
	uint32_t number;
};

/* The ledger is written by the finisher's threads from now on. */
struct cw_finisher *cw_finisher_new(
    struct cw_seed_parity *parity, struct cw_target *target);
/*
 * Waits for what is under way and what waits; unless somebody asked us to
 * stop: then what waits is abandoned.  NULL is allowed.
 */
void cw_finisher_free(struct cw_finisher *f);

/*
 * Hands a volume over; waits while three others wait, so that disk speed
 * bounds what lies unsynced in memory.
 */
void cw_finisher_put(
    struct cw_finisher *f, const struct cw_finisher_volume *volume);

/*
 * Waits until all that was handed over is done; at_end, then completes all
 * groups with their shards.  *lost (the caller's to free)
 * are the numbers of volumes that failed since the last call, with *why the
 * first reason; their media take no more volumes.  Returns -1 if the ledger
 * could not be written, or as cw_seed_parity_close does.
 */
int cw_finisher_drain(struct cw_finisher *f, bool at_end, uint32_t **lost,
    size_t *count, struct cw_error *why, struct cw_error *err);

#endif
