/*
 * When a replica was last known to be all that the active site had:
 * STORE_DIR/current, "GENERATION SECONDS UPTIME BOOT", written whenever a
 * generation is acknowledged.  A failover tells from it what it may lose, and
 * by the wall's clock (SECONDS, since 1970) alone that would be wrong where the
 * clock was set meanwhile: within one boot its own clock counts.
 */
#ifndef CW_SITE_CURRENT_H
#define CW_SITE_CURRENT_H

#include "base/error.h"

#include <stdint.h>

#define CW_CURRENT_FILE "current"

/* As of now. */
int cw_current_save(int dirfd, uint64_t generation, struct cw_error *err);
/*
 * How long ago that was, in seconds: 0; 1 if nothing is known, which is so
 * where the clock stands before that time in another boot.
 */
int cw_current_age(
    int dirfd, uint64_t *generation, double *seconds, struct cw_error *err);

/*
 * What came in from a source and is not applied yet, as the session noted it a
 * moment ago: STORE_DIR/behind, "ROWS BYTES".  Not synced: it is for people.
 */
struct cw_behind {
	uint64_t rows;
	uint64_t bytes; /* of contents that were asked for */
};

void cw_behind_save(int dirfd, const struct cw_behind *behind);
/* All zero where nothing is noted. */
void cw_behind_load(int dirfd, struct cw_behind *behind);

#endif
