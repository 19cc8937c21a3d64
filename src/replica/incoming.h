/*
 * Changes on their way into a replica, in STORE_DIR/incoming.sqlite: kept as
 * they arrive, until all of a generation is here with its contents and
 * cw_apply takes them.  One row a path: a later change of a path replaces the
 * earlier, the removal of a directory takes earlier changes below it away and
 * is itself remembered when the path is made again.
 *
 * The stages: EMPTY -> (begin) COLLECTING -> (complete) COMPLETE -> (cw_apply)
 * APPLYING -> EMPTY.  A change that is added to a COMPLETE one makes it
 * COLLECTING again.  From APPLYING there is only forward.
 *
 * What a peer says is hostile: unsafe names, unknown kinds and roots, sizes
 * and attributes beyond the limits are CW_ERR_FORMAT.
 */
#ifndef CW_REPLICA_INCOMING_H
#define CW_REPLICA_INCOMING_H

#include "base/error.h"
#include "replica/place.h"
#include "store/catalog.h"
#include "store/changes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cw_incoming;
struct cw_replica; /* replica.h */

enum cw_incoming_stage {
	CW_INCOMING_EMPTY,
	CW_INCOMING_COLLECTING,
	CW_INCOMING_COMPLETE,
	CW_INCOMING_APPLYING,
};

/* As of the last commit, but for rows, which counts at once. */
struct cw_incoming_info {
	enum cw_incoming_stage stage;
	uint64_t since;		       /* changes after this generation */
	uint64_t epoch;		       /* of the source that sends them */
	struct cw_position position;   /* go on behind it */
	uint64_t generation;	       /* COMPLETE: the target */
	uint8_t digest[CW_STATE_SIZE]; /* COMPLETE: the store's then */
	uint64_t rows;
};

/* Paths must lie in these roots (their names are copied). */
int cw_incoming_open(const char *store_dir, const struct cw_place_root *roots,
    size_t root_count, struct cw_incoming **out, struct cw_error *err);
/* What was not committed is lost.  NULL is allowed. */
void cw_incoming_close(struct cw_incoming *in);

const struct cw_incoming_info *cw_incoming_info(const struct cw_incoming *in);

/*
 * Begins to collect the changes after since; what was collected before for
 * another since or epoch is thrown away, for the same it is kept (then go on
 * behind info's position).  CW_ERR_BUSY while APPLYING: cw_apply_resume first.
 */
int cw_incoming_begin(struct cw_incoming *in, uint64_t since, uint64_t epoch,
    struct cw_error *err);
/* Throws all away, as discard by the operator or a new comparison does. */
int cw_incoming_discard(struct cw_incoming *in, struct cw_error *err);

/*
 * Adds one change.  Of the entry all counts that cw_catalog_put uses, but for
 * dir, ctime, ino and child.  Not durable until commit, which writes the
 * changes since the last one and the position together.
 */
int cw_incoming_add(
    struct cw_incoming *in, const struct cw_change *ch, struct cw_error *err);
/* The same for a file whose content came with it, and is on its way to staging.
 */
int cw_incoming_add_come(
    struct cw_incoming *in, const struct cw_change *ch, struct cw_error *err);
int cw_incoming_commit(
    struct cw_incoming *in, const struct cw_position *at, struct cw_error *err);
/* Drops what was added since the last commit. */
void cw_incoming_rollback(struct cw_incoming *in);

/* The end: all up to this generation is here.  Commits. */
int cw_incoming_complete(struct cw_incoming *in, uint64_t generation,
    const uint8_t digest[CW_STATE_SIZE], struct cw_error *err);

/*
 * Adds a change for each file of our catalog that the tree lacks (none, or of
 * another size): what a seed listed and did not bring is then wanted like
 * anything else.  Looks at every file; *count (may be NULL) says how many.
 */
int cw_incoming_add_lacking(struct cw_incoming *in, struct cw_replica *r,
    uint64_t *count, struct cw_error *err);

/*
 * Healing by comparison: the complete list of one directory's entries at the
 * source, in any order, over as many calls as it takes.  What differs from our
 * catalog becomes a change, as does what our catalog has and the list lacks
 * (directories with all that is in them), and files that our tree lacks.  A
 * listing that was not ended before a crash is to be begun again.  The path is
 * that of a directory at the source; of one that we do not have all entries
 * are new.  Commit as usual.
 */
int cw_incoming_list_begin(struct cw_incoming *in, const char *dir_path,
    size_t len, struct cw_error *err);
int cw_incoming_list_add(struct cw_incoming *in, struct cw_replica *r,
    const struct cw_change *ch, struct cw_error *err);
int cw_incoming_list_end(
    struct cw_incoming *in, struct cw_replica *r, struct cw_error *err);

/*
 * Is the content of this change (a file's put) to be found nowhere at home:
 * not at its path, in staging, at another path of the catalog, in history?
 * 1 it lacks, 0 it does not, -1.  What the tree should have is looked at
 * (kind and size); apply hashes what it copies.
 */
int cw_incoming_lacks(struct cw_incoming *in, struct cw_replica *r,
    const struct cw_change *ch, struct cw_error *err);

/*
 * Contents that lack, over all that has been added, in the order in which we
 * want them: control files, then small ones, newest first, then large ones,
 * small before large, at last those that came with their change and are here
 * no more.  A digest comes once.  The cursor of zeros is the beginning; it
 * stays good over commits and restarts (new rows may come to lie before it).
 * 1 and *out, 0 at the end, -1.
 */
struct cw_want_cursor {
	int64_t wish, key, row;
	bool skips_come; /* what came with its change is not looked at */
};

struct cw_want {
	uint8_t digest[CW_DIGEST_SIZE];
	uint64_t size;
	const char *path; /* one that needs it; until the next call */
	size_t path_len;
	/* An older version is at that path: cw_place_open has it. */
	bool has_base;
	uint64_t base_size;
	struct cw_look look; /* of the file at that path */
};

/* Moves the cursor to just before this file's row. */
void cw_incoming_want_from(const struct cw_entry *e, struct cw_want_cursor *at);

int cw_incoming_next_want(struct cw_incoming *in, struct cw_replica *r,
    struct cw_want_cursor *at, struct cw_want *out, struct cw_error *err);

/* What lacks in all; reads every row. */
int cw_incoming_count_wants(struct cw_incoming *in, struct cw_replica *r,
    uint64_t *contents, uint64_t *bytes, struct cw_error *err);

#endif
