/*
 * Counts and sums of a catalog anew, from its rows in their order and with
 * memory for one directory only.  For who does not believe what the catalog
 * says of itself: foreign.c refuses what differs, mend.c puts it right.
 */
#ifndef CW_STORE_RECOUNT_H
#define CW_STORE_RECOUNT_H

#include "store/catalog_impl.h"

struct recount {
	struct cw_catalog *c;
	struct cw_catalog_info seen; /* counts only */
	uint8_t sum[CW_STATE_SIZE];

	/* The directory whose entries come, or -1, and what they make. */
	int64_t dir;
	const char *path;
	size_t path_len;
	uint8_t dir_sum[CW_STATE_SIZE];

	/* Judges an entry before it is counted; -1 ends it all.  May be NULL.
	 */
	int (*judge)(
	    struct recount *r, const struct cw_entry *e, struct cw_error *err);
	/* The digest that the catalog has of r->dir is not r->dir_sum. */
	int (*differs)(struct recount *r, struct cw_error *err);
	void *arg; /* of these two */
};

/*
 * Goes over all rows: c, the functions and arg are set, the rest is 0.  A
 * directory without entries is not seen.
 */
int recount_rows(struct recount *r, struct cw_error *err);

#endif
