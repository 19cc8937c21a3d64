/*
 * The inside of incoming, shared by the modules of this folder: the tables,
 * and the rows a page at a time.
 */
#ifndef CW_REPLICA_INCOMING_IMPL_H
#define CW_REPLICA_INCOMING_IMPL_H

#include "replica/db.h"
#include "replica/incoming.h"

/* What apply does for a row that puts something; bits, to ask for several. */
enum plan {
	PLAN_NONE = 0, /* only removes, or was not looked at yet */
	PLAN_DIR = 1,
	PLAN_SYMLINK = 2,
	PLAN_STAY = 4,	 /* a file that is there already: metadata only */
	PLAN_STAGED = 8, /* a file that comes from its slot in staging */
	PLAN_HARD = 16,	 /* another name of the file at link_to */
	PLAN_LACKS = 32, /* a file that only the catalog gets */
};

/* The last place in the order in which contents are wanted. */
#define WISH_HAS_COME 3

/* How far apply has come; kept with the stage. */
enum phase {
	PHASE_NONE,
	PHASE_AWAY,
	PHASE_PLACE,
	PHASE_CATALOG,
};

enum in_stmt {
	IN_STATE_GET,
	IN_STATE_PUT,
	IN_ROW_PUT,
	IN_ROW_WIPE,
	IN_ROW_DROP,
	IN_ROW_DROP_BELOW,
	IN_ROW_KIND,
	IN_ROW_FIRST,
	IN_PAGE,
	IN_PAGE_PLAN,
	IN_PAGE_DOWN,
	IN_WANT,
	IN_LIST_PUT,
	IN_LIST_HAS,
	IN_BAD_PUT,
	IN_BAD_HAS,
	IN_PLAN_SET,
	IN_LINK_STAYS,
	IN_LINK_LEADER,
	IN_LINK_ANY,
	IN_LINK_COUNT,
	IN_LINK_SET,
	IN_GOING_PUT,
	IN_GOING_HAS,
	IN_GOING_NEXT,
	IN_GOING_LAST,
	IN_NEED_FILL,
	IN_NEED_ROWS,
	IN_NEED_GET,
	IN_NEED_SET,
	IN_NEED_NEXT,
	IN_NEED_MORE,
	IN_NEED_DROP,
	IN_LACKS_SET,
	IN_SLOT_SET,
	IN_STMT_COUNT
};

struct cw_incoming {
	struct db db;
	char (*roots)[CW_STORE_NAME_MAX + 1];
	size_t root_count;
	struct cw_incoming_info info;
	/* Of an apply under way. */
	enum phase phase;
	uint64_t diverged;   /* 0, or the epoch whose leavings are put aside */
	uint8_t apply_id[8]; /* the catalog's note of it tells that it is in */

	bool has_bad;
	struct cw_buf path;	/* of the change that is being added */
	struct cw_buf list_dir; /* of the listing that is open */
	bool is_listing;
	struct cw_buf want_path, want_names;
};

struct row {
	int64_t id;
	const char *path; /* NUL behind it */
	size_t path_len;
	bool wipe; /* what was here, and below, goes first */
	bool has_put;
	struct cw_entry e; /* of the put; its name is in path, dir is not set */
	enum plan plan;
	uint64_t slot;
	const char *link_to; /* NULL: nothing */
};

/* Rows with their bytes; memory is used again. */
struct row_page {
	struct row *rows;
	struct row_places *places;
	size_t count, cap;
	struct cw_buf arena;
	struct cw_buf last; /* the path of the last row: go on behind it */
};

#define ROW_PAGE_INIT                                                          \
	{                                                                      \
		NULL, NULL, 0, 0, CW_BUF_INIT, CW_BUF_INIT                     \
	}

/*
 * Fills the page with the rows behind page->last whose plan is one of plans (0:
 * all rows); count 0 is the end.  down: from the end to the beginning, DIR
 * only.
 */
int rows_next(struct cw_incoming *in, struct row_page *page, unsigned plans,
    bool down, struct cw_error *err);
void rows_free(struct row_page *page);

/* CW_ERR_BUSY while APPLYING. */
int incoming_refuse_applying(
    const struct cw_incoming *in, struct cw_error *err);
/* incoming_check.c: CW_ERR_FORMAT for what is not to be taken; says so. */
int incoming_check(const struct cw_incoming *in, const struct cw_change *ch,
    struct cw_error *err);
int incoming_bad_change(
    const struct cw_change *ch, const char *what, struct cw_error *err);
/* incoming_add.c: in->path becomes that of the change; drops its row. */
void incoming_join(struct cw_incoming *in, const struct cw_change *ch);
int incoming_drop(struct cw_incoming *in, struct cw_error *err);

/* Writes info, phase and the rest of the state; begins a transaction. */
int incoming_save(struct cw_incoming *in, struct cw_error *err);

/* A file of this path or kept content that is not what it should be. */
int incoming_mark_bad(
    struct cw_incoming *in, const void *key, size_t len, struct cw_error *err);
int incoming_is_bad(
    struct cw_incoming *in, const void *key, size_t len, struct cw_error *err);
/* The key of a content that history keeps, for these two. */
#define BAD_KEPT_SIZE (CW_DIGEST_SIZE + 1)
void incoming_bad_kept(
    const uint8_t digest[CW_DIGEST_SIZE], uint8_t key[BAD_KEPT_SIZE]);

/*
 * Is the content anywhere at home (staging, tree, history)?  1, 0, -1.  With
 * take, it is brought to staging (hashed) unless it is there.
 */
int incoming_find(struct cw_incoming *in, struct cw_replica *r,
    const uint8_t digest[CW_DIGEST_SIZE], uint64_t size, bool take,
    struct cw_error *err);

/* Empties all tables; the stage is EMPTY at this generation.  Commits. */
int incoming_empty(
    struct cw_incoming *in, uint64_t generation, struct cw_error *err);

#endif
