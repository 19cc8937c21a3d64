/*
 * Apply: makes a replica's tree and catalog what the changes in incoming say,
 * and empties incoming.  Every step may be cut off by a crash or a power cut
 * and is gone through again by the next cw_apply, with the same end; nothing
 * of the old versions is lost on the way: they are in history, or in the tree
 * under another name.
 *
 *   0. Contents that stay where they are and are needed elsewhere, too, are
 *      copied to staging and hashed.  Nothing of the tree is changed; whatever
 *      turns out to lack is CW_ERR_MISSING, and cw_incoming_next_want names
 *      it.  Then staging is synced and incoming becomes APPLYING.
 *   1. What goes is renamed, to staging where its content is needed, else to
 *      history; emptied directories are removed.
 *   2. What comes is renamed from staging into place, or linked; metadata.
 *   3. Sync; then the catalog, in one transaction; then incoming is emptied.
 *
 * Memory stays the same however many changes there are.  The caller holds the
 * store's lock, and nothing else writes the tree.
 */
#ifndef CW_REPLICA_APPLY_H
#define CW_REPLICA_APPLY_H

#include "base/progress.h"
#include "replica/replica.h"

#include <stdbool.h>
#include <stdint.h>

struct cw_apply_options {
	/*
	 * Not 0: the store diverged in this epoch.  What goes is kept in
	 * STORE_DIR/diverged/EPOCH/ with its listing, instead of history.
	 */
	uint64_t diverged_epoch;
	/*
	 * Contents that lack do not stop it: their files come into the catalog
	 * alone (what was there before goes to history), as those of a seed do
	 * whose medium is missing.  result->lacking counts them, and whoever
	 * asked for it must have noted beforehand that files are wanted
	 * (cw_incoming_add_lacking finds them again).
	 */
	bool partial;
	struct cw_progress *progress; /* items: changes; may be NULL */
};

struct cw_apply_result {
	uint64_t generation; /* of the catalog now */
	bool is_equal;	     /* its digest is the one that was announced */
	uint64_t removed;    /* entries that went, replaced ones too */
	uint64_t placed;     /* files that came from staging */
	uint64_t linked;     /* files that became further names of others */
	uint64_t touched;    /* files and directories with new metadata only */
	uint64_t copied;     /* contents copied within the tree or history */
	uint64_t copied_bytes;
	uint64_t missing; /* contents that lack; else CW_ERR_MISSING says so */
	uint64_t lacking; /* files that stand in the catalog alone */
};

/*
 * Incoming must be COMPLETE (CW_ERR_REFUSED if not) or APPLYING.  options may
 * be NULL; of one that goes on after a crash the first call's count.  A
 * failure leaves what a crash would leave.  CW_ERR_MISSING can also come from
 * APPLYING, if somebody took files away meanwhile: supply what next_want names
 * and apply again.
 */
int cw_apply(struct cw_replica *r, const struct cw_apply_options *options,
    struct cw_apply_result *result, struct cw_error *err);

/*
 * Finishes an apply that was cut off, which needs no peer.  0, or 1 if there
 * was none; then *result is untouched.
 */
int cw_apply_resume(struct cw_replica *r, struct cw_progress *progress,
    struct cw_apply_result *result, struct cw_error *err);

#endif
