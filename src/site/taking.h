/*
 * Taking a generation beside other work: what a peer has first to hear of is
 * known long before all contents have been read, and a source sends what has
 * been read so far (sync/source.h).
 */
#ifndef CW_SITE_TAKING_H
#define CW_SITE_TAKING_H

#include "site/generation.h"

#include <stdbool.h>
#include <stdint.h>

struct cw_taking;

/*
 * Begins with cw_generation_take in a thread of its own, and returns when the
 * entries are in the catalog, with the generation that it will be; contents may
 * be read from then on.  lock is that of the store: it is given back when all
 * is done, or on failure, and *lock is -1.
 */
int cw_taking_begin(const struct cw_home *home,
    const struct cw_config_store *store, int *lock,
    struct cw_progress *progress, struct cw_taking **out, uint64_t *generation,
    struct cw_error *err);

/*
 * A descriptor more of the store's lock, which the caller closes; -1 when it
 * was given back.  For what may be done beside a scan, as to the store's role.
 */
int cw_taking_share_lock(struct cw_taking *t);

/* It has ended, well or not; *is_good says which. */
bool cw_taking_has_ended(struct cw_taking *t, bool *is_good);

/* Waits for the end, tells what came of it, and frees.  out may be NULL. */
int cw_taking_end(
    struct cw_taking *t, struct cw_generation *out, struct cw_error *err);

#endif
