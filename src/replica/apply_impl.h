/*
 * The steps of apply, a file each; apply.c has their order.
 */
#ifndef CW_REPLICA_APPLY_IMPL_H
#define CW_REPLICA_APPLY_IMPL_H

#include "replica/apply.h"
#include "replica/incoming_impl.h"

struct apply {
	struct cw_replica *r;
	struct cw_incoming *in;
	struct cw_apply_result *result;
	struct cw_progress *progress;
	struct cw_shelf shelf;
	bool partial;
	bool is_first; /* our catalog has nothing: nothing goes or stays */
	/* All that staging has was written there: no attributes are on it. */
	bool is_plain;
	unsigned plans; /* that rows have; 0: not known */
	/* The catalog's transaction is open; with the files placed, or not. */
	bool is_begun, has_files;
	uint64_t before; /* the catalog's generation then */

	/* The last answers of apply_is_going and of the check of parents. */
	int64_t going_dir;
	bool going;
	struct cw_buf parent;
};

/* apply_plan.c: decides how each row comes about and finds all contents;
 * changes nothing of the tree.  CW_ERR_MISSING with result->missing. */
int apply_plan(struct apply *a, struct cw_error *err);
/* apply_away.c: takes away what goes. */
int apply_away(struct apply *a, struct cw_error *err);
/* apply_aside.c: what no catalog knows at path goes to history, with all that
 * is in it. */
int apply_put_aside(struct apply *a, const char *path, struct cw_error *err);
/* apply_place.c: puts in place what comes. */
int apply_place(struct apply *a, struct cw_error *err);
/* apply_first.c: places the files where nothing was, and has put them and their
 * directories into the catalog's transaction when it is back. */
int apply_place_first(struct apply *a, struct cw_error *err);
/* apply_catalog.c: the same in the catalog, but for the files that
 * apply_place_first has put already. */
int apply_catalog(struct apply *a, struct cw_error *err);

/* A file from staging: 0 done, 1 copied beside, -1. */
int apply_place_file(
    struct apply *a, const struct row *row, struct cw_error *err);
/* What was copied beside comes into place; it must have been synced. */
int apply_rename_beside(
    struct apply *a, const struct row *row, struct cw_error *err);
/* Did it get all that it is to be when it came to its slot of staging? */
bool apply_is_ready(const struct apply *a, struct cw_place *place,
    const struct row *row, const char *slot);

/* Begins the transaction, if it is not open. */
int apply_catalog_begin(struct apply *a, struct cw_error *err);
/* A row in place, st what stat says of it; NULL: it is looked at. */
int apply_put_row(struct apply *a, const struct row *row, const struct stat *st,
    struct cw_error *err);

/* Does all that is in this directory of our catalog go?  1, 0, -1. */
int apply_is_going(struct apply *a, int64_t dir, struct cw_error *err);
/* Calls step for all rows of these plans (0: all), in the order of paths. */
int apply_each_row(struct apply *a, unsigned plans,
    int (*step)(struct apply *a, const struct row *row, struct cw_error *err),
    struct cw_error *err);
/* What our catalog has at a row's path: 0, 1 nothing. */
int apply_base(struct apply *a, const struct row *row, struct cw_entry *base,
    struct cw_error *err);
/* Does that go (or make way for another content)? */
bool apply_base_goes(const struct row *row, const struct cw_entry *base);
/* Directories that go: the next id after this one, or before it (down). */
int apply_going_next(
    struct apply *a, int64_t *id, bool down, struct cw_error *err);
/*
 * Gives all entries of a directory of our catalog to each, with their paths,
 * which path has room for.  A -1 of each ends it.
 */
typedef int apply_each_fn(void *arg, const char *path, const struct cw_entry *e,
    struct cw_error *err);
int apply_each_in(struct apply *a, int64_t dir, struct cw_buf *path,
    apply_each_fn *each, void *arg, struct cw_error *err);

/* apply_links.c: makes a row another name of a file, if there is one. */
int apply_find_link(
    struct apply *a, const struct row *row, struct cw_error *err);

/* apply_contents.c: what apply needs of one content. */
struct need {
	uint8_t digest[CW_DIGEST_SIZE];
	uint64_t size;
	uint64_t copies; /* slots */
	uint64_t filled; /* below it all slots are filled */
	uint64_t donors; /* files that go and have it */
};

/* 1 and *out, 0 it is not needed. */
int need_get(struct apply *a, const uint8_t digest[CW_DIGEST_SIZE],
    struct need *out, struct cw_error *err);
int need_set(struct apply *a, const struct need *need, struct cw_error *err);
/*
 * The first behind *out (digest zero and begin: of all), or the first of which
 * staging may not have all that is needed: 1, 0.
 */
int need_next(struct apply *a, bool begin, bool only_more, struct need *out,
    struct cw_error *err);

/* What the rows need; each row gets its slot. */
int apply_count_needs(struct apply *a, struct cw_error *err);
/* Files that go and have what is needed; then what nobody has so far. */
int apply_look_at_donors(struct apply *a, struct cw_error *err);
int apply_find_contents(struct apply *a, struct cw_error *err);

/*
 * Brings a content to slot 0 of staging from wherever it is; CW_ERR_MISSING
 * if it is nowhere.  For what was there when we began, and is not any more.
 */
int apply_have(struct apply *a, const uint8_t digest[CW_DIGEST_SIZE],
    uint64_t size, struct cw_error *err);

/* Has this file (its stat) another name in the tree that stays?  1, 0, -1. */
int apply_has_other_name(struct apply *a, const uint8_t digest[CW_DIGEST_SIZE],
    const char *path, const struct stat *st, struct cw_error *err);

/* Is the file surely what the catalog's row says, without reading it? */
bool apply_trusts(const struct cw_entry *e, const struct stat *st);

#endif
