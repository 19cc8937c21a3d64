/*
 * Closing media and ending a seed.
 *
 * A medium can be closed at any time, and be taken away then: it gets parity
 * and digests of what is on it, CHECKSUMS, MEDIUM, and an `open` manifest of
 * all media that were closed so far.  At the end the media that are still here
 * get the catalog and the final manifest, too.  Each manifest has a greater
 * revision than the one before, and is in the state directory before it is on
 * a medium: a crash never leaves two of one revision.
 *
 * Order on a medium: everything that the manifest lists, then the manifest,
 * then its signature; a medium with a signature is complete.
 */
#ifndef CW_SEED_FINISH_H
#define CW_SEED_FINISH_H

#include "seed/ledger.h"
#include "seed/pack.h"
#include "seed/parity.h"
#include "seed/target.h"

struct cw_finish;

/* What it works with; all must outlive it. */
struct cw_finish_parts {
	const struct cw_pack_options *options;
	struct cw_ledger *ledger;
	struct cw_target *target;
	struct cw_seed_parity *parity;
	int seed_dir;
	/* Media that were closed before and are here again; may be NULL. */
	struct cw_target *closed;
};

/* Reads the last manifest, if there is one. */
int cw_finish_new(const struct cw_finish_parts *parts, struct cw_finish **out,
    struct cw_error *err);
void cw_finish_free(struct cw_finish *f); /* NULL is allowed */

/*
 * Closes a medium on which nothing is in progress; volumes may be added to
 * others meanwhile.  Its descriptors stay open (see cw_target_asker).  1 and
 * *why: the medium failed and is not closed; what the ledger has of it counts
 * on.  -1: our own state failed, or we are to stop.
 */
int cw_finish_medium(struct cw_finish *f, struct cw_target_medium *m,
    struct cw_error *why, struct cw_error *err);

/*
 * Begins to export and seal the catalog, beside what else is to be done
 * before the end: from here to cw_finish nobody changes it.  Where somebody
 * has to after all, cw_finish_forget_catalog comes first: it waits for what
 * was begun, and drops it.  Without either, cw_finish makes the catalog itself.
 */
void cw_finish_begin_catalog(struct cw_finish *f);
void cw_finish_forget_catalog(struct cw_finish *f);

/*
 * Ends the seed.  Volumes are those of the ledger; each must be on a medium
 * that is here or was closed, else CW_ERR_REFUSED names those to bring.  Fills
 * the result's media, bytes_written, manifest_sha256 and revision.
 *
 * A medium that fails here is not closed; the others are, and the error says
 * what to do.  The seed can then be gone on with.
 */
int cw_finish(
    struct cw_finish *f, struct cw_pack_result *result, struct cw_error *err);

/* Bytes to keep free on each medium for that, by the number of entries. */
uint64_t cw_finish_reserve(uint64_t entries);

#endif
