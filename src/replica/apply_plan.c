/*
 * Apply's first step: what becomes of each row, and where its content comes
 * from.  All of it is written to incoming in one transaction, which makes it
 * APPLYING; nothing of the tree has been changed then.
 */
#include "base/crypto.h"
#include "base/text.h"
#include "replica/apply_impl.h"

#include <inttypes.h>
#include <string.h>

/* ---- what goes ---- */

static int
add_going(struct apply *a, int64_t dir, struct cw_error *err)
{
	sqlite3_stmt *st = db_stmt(&a->in->db, IN_GOING_PUT, err);

	if (st == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, dir);
	return db_run(&a->in->db, st, err);
}

int
apply_is_going(struct apply *a, int64_t dir, struct cw_error *err)
{
	sqlite3_stmt *st;
	int got;

	if (a->going_dir == dir)
		return a->going;
	if ((st = db_stmt(&a->in->db, IN_GOING_HAS, err)) == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, dir);
	if ((got = db_step(&a->in->db, st, err)) < 0)
		return -1;
	sqlite3_reset(st);
	a->going_dir = dir;
	a->going = got == 1;
	return got;
}

int
apply_going_next(struct apply *a, int64_t *id, bool down, struct cw_error *err)
{
	sqlite3_stmt *st =
	    db_stmt(&a->in->db, down ? IN_GOING_LAST : IN_GOING_NEXT, err);
	int got;

	if (st == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, *id);
	if ((got = db_step(&a->in->db, st, err)) == 1)
		*id = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	return got;
}

int
apply_each_in(struct apply *a, int64_t dir, struct cw_buf *path,
    apply_each_fn *each, void *arg, struct cw_error *err)
{
	struct cw_walk_query q = CW_WALK_ALL;
	struct cw_walk *walk = NULL;
	const char *dir_path;
	struct cw_entry e;
	size_t len;
	int got;

	if (cw_catalog_dir_path(a->r->catalog, dir, &dir_path, &len, err) < 0)
		return -1;
	cw_buf_reset(path);
	cw_buf_append(path, dir_path, len);
	cw_buf_append(path, "/", 1);
	q.dir = dir;
	if (cw_walk_open(a->r->catalog, &q, &walk, err) < 0)
		return -1;
	while ((got = cw_walk_next(walk, &e, err)) == 1) {
		path->len = len + 1;
		cw_buf_append(path, e.name, e.name_len);
		if (each(arg, cw_buf_string(path), &e, err) < 0) {
			got = -1;
			break;
		}
	}
	cw_walk_close(walk);
	return got;
}

int
apply_base(struct apply *a, const struct row *row, struct cw_entry *base,
    struct cw_error *err)
{
	if (a->is_first)
		return 1;
	return cw_catalog_lookup_path(
	    a->r->catalog, row->path, row->path_len, base, err);
}

bool
apply_base_goes(const struct row *row, const struct cw_entry *base)
{
	if (row->wipe || !row->has_put || row->e.kind != base->kind)
		return true;
	return row->plan != PLAN_STAY && row->plan != PLAN_DIR;
}

/* Directories that rows remove, then all that are in them. */
static int
find_going(struct apply *a, struct cw_error *err)
{
	struct row_page page = ROW_PAGE_INIT;
	struct cw_entry base;
	int ret = -1, got;
	int64_t id = 0;

	if (a->is_first)
		return 0;
	do {
		if (cw_stop_check(err) < 0 ||
		    rows_next(a->in, &page, 0, false, err) < 0)
			goto out;
		for (size_t i = 0; i < page.count; i++) {
			const struct row *row = &page.rows[i];

			got = apply_base(a, row, &base, err);
			if (got < 0)
				goto out;
			if (got == 0 && base.kind == CW_KIND_DIR &&
			    (row->wipe || row->e.kind != CW_KIND_DIR) &&
			    add_going(a, base.child, err) < 0)
				goto out;
		}
	} while (page.count > 0);
	/* An id is greater than its parent's: one pass finds all. */
	while ((got = apply_going_next(a, &id, false, err)) == 1) {
		struct cw_walk_query q = CW_WALK_ALL;
		struct cw_walk *walk = NULL;

		q.dir = id;
		q.kind = CW_KIND_DIR;
		if (cw_walk_open(a->r->catalog, &q, &walk, err) < 0)
			goto out;
		while ((got = cw_walk_next(walk, &base, err)) == 1) {
			if (add_going(a, base.child, err) < 0) {
				got = -1;
				break;
			}
		}
		cw_walk_close(walk);
		if (got < 0)
			goto out;
	}
	ret = got;
out:
	rows_free(&page);
	a->going_dir = -1;
	return ret;
}

/* ---- what becomes of each row ---- */

static int
set_plan(struct apply *a, const struct row *row, enum plan plan,
    struct cw_error *err)
{
	sqlite3_stmt *st;

	a->plans |= plan;
	if (row->plan == plan && row->slot == 0 && row->link_to == NULL)
		return 0;
	if ((st = db_stmt(&a->in->db, IN_PLAN_SET, err)) == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, row->id);
	sqlite3_bind_int(st, 2, (int)plan);
	return db_run(&a->in->db, st, err);
}

/* Will a directory be at the first len bytes of path?  1, 0, -1. */
static int
is_dir_then(struct apply *a, const char *path, size_t len, struct cw_error *err)
{
	sqlite3_stmt *st = db_stmt(&a->in->db, IN_ROW_KIND, err);
	struct cw_entry base;
	int got;

	if (st == NULL)
		return -1;
	db_bind_bytes(st, 1, path, len);
	if ((got = db_step(&a->in->db, st, err)) < 0)
		return -1;
	if (got == 1) {
		const unsigned char *kind = sqlite3_column_text(st, 0);

		got = kind != NULL && kind[0] == 'd';
		sqlite3_reset(st);
		return got;
	}
	got = cw_catalog_lookup_path(a->r->catalog, path, len, &base, err);
	if (got != 0)
		return got < 0 ? -1 : 0;
	if (base.kind != CW_KIND_DIR)
		return 0;
	got = apply_is_going(a, base.child, err);
	return got < 0 ? -1 : got == 0;
}

/* Refuses what could not be placed while nothing has been touched yet. */
static int
check_parent(struct apply *a, const struct row *row, struct cw_error *err)
{
	const char *slash = strrchr(row->path, '/');
	size_t len = slash == NULL ? 0 : (size_t)(slash - row->path);
	char quoted[CW_QUOTE_MAX];
	int got;

	if (len == 0 || (a->parent.len == len &&
			    memcmp(a->parent.data, row->path, len) == 0))
		return 0;
	got = is_dir_then(a, row->path, len, err);
	if (got < 0)
		return -1;
	if (got == 0) {
		cw_text_quote(row->path, row->path_len, quoted);
		return cw_error_set(err, CW_ERR_FORMAT,
		    "%s is to come into a directory that is not there", quoted);
	}
	cw_buf_reset(&a->parent);
	cw_buf_append(&a->parent, row->path, len);
	return 0;
}

/* How many names of one file the rows have. */
static int
count_links(struct apply *a, const struct row *row, uint64_t *count,
    struct cw_error *err)
{
	sqlite3_stmt *st = db_stmt(&a->in->db, IN_LINK_COUNT, err);

	if (st == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, row->e.linkgroup);
	db_bind_bytes(st, 2, row->e.digest, CW_DIGEST_SIZE);
	if (db_step(&a->in->db, st, err) != 1)
		return -1;
	*count = (uint64_t)sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	return 0;
}

/*
 * Is the file that is there the one that is wanted, but for its metadata?
 * Other names of it must all get the same.
 */
static int
stays(struct apply *a, const struct row *row, struct cw_error *err)
{
	struct cw_entry base;
	struct stat st;
	uint64_t links;
	int got = row->wipe ? 1 : apply_base(a, row, &base, err);

	if (got != 0)
		return got < 0 ? -1 : 0;
	if (base.kind != CW_KIND_FILE || !base.has_digest ||
	    base.size != row->e.size ||
	    memcmp(base.digest, row->e.digest, CW_DIGEST_SIZE) != 0)
		return 0;
	if ((got = apply_is_going(a, base.dir, err)) != 0)
		return got < 0 ? -1 : 0;
	got = incoming_is_bad(a->in, row->path, row->path_len, err);
	if (got != 0)
		return got < 0 ? -1 : 0;
	got = cw_place_stat(a->r->place, row->path, &st, err);
	if (got != 0)
		return got < 0 ? -1 : 0;
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != row->e.size)
		return 0;
	if (st.st_nlink == 1)
		return 1;
	if (row->e.linkgroup == 0)
		return 0;
	if (count_links(a, row, &links, err) < 0)
		return -1;
	return st.st_nlink == links;
}

static int
classify(struct apply *a, const struct row *row, struct cw_error *err)
{
	enum plan plan = PLAN_NONE;
	int got;

	if (row->has_put) {
		if (check_parent(a, row, err) < 0)
			return -1;
		if (row->e.kind == CW_KIND_DIR) {
			plan = PLAN_DIR;
		} else if (row->e.kind == CW_KIND_SYMLINK) {
			plan = PLAN_SYMLINK;
		} else {
			if ((got = stays(a, row, err)) < 0)
				return -1;
			plan = got == 1 ? PLAN_STAY : PLAN_STAGED;
		}
	}
	return set_plan(a, row, plan, err);
}

/* Calls step for all rows of these plans (0: all). */
int
apply_each_row(struct apply *a, unsigned plans,
    int (*step)(struct apply *a, const struct row *row, struct cw_error *err),
    struct cw_error *err)
{
	struct row_page page = ROW_PAGE_INIT;
	int ret = 0;

	do {
		if (cw_stop_check(err) < 0 ||
		    rows_next(a->in, &page, plans, false, err) < 0)
			ret = -1;
		for (size_t i = 0; i < page.count && ret == 0; i++)
			ret = step(a, &page.rows[i], err);
	} while (ret == 0 && page.count > 0);
	rows_free(&page);
	return ret;
}

static int
find_links(struct apply *a, struct cw_error *err)
{
	sqlite3_stmt *st = db_stmt(&a->in->db, IN_LINK_ANY, err);
	int got;

	if (st == NULL || (got = db_step(&a->in->db, st, err)) < 0)
		return -1;
	sqlite3_reset(st);
	return got == 0 ? 0
			: apply_each_row(a, PLAN_STAGED, apply_find_link, err);
}

static int
plan_all(struct apply *a, struct cw_error *err)
{
	a->plans = 0;
	if (db_begin(&a->in->db, err) < 0 ||
	    db_exec(&a->in->db, "DELETE FROM going; DELETE FROM need;", err) <
		0 ||
	    find_going(a, err) < 0 || apply_each_row(a, 0, classify, err) < 0 ||
	    find_links(a, err) < 0 || apply_count_needs(a, err) < 0)
		return -1;
	/* In every directory that goes, and under every row. */
	return !a->is_first && apply_look_at_donors(a, err) < 0
		   ? -1
		   : apply_find_contents(a, err);
}

int
apply_plan(struct apply *a, struct cw_error *err)
{
	struct cw_incoming *in = a->in;

	cw_progress_start(
	    a->progress, "preparing", 0, cw_incoming_info(in)->rows);
	a->result->missing = 0;
	if (plan_all(a, err) < 0) {
		cw_incoming_rollback(in);
		return -1;
	}
	if (a->result->missing > 0 && !a->partial) {
		/* What was found damaged is remembered: it is wanted now. */
		if (db_commit(&in->db, err) < 0)
			return -1;
		return cw_error_set(err, CW_ERR_MISSING,
		    "%" PRIu64 " contents of generation %" PRIu64
		    " are not here",
		    a->result->missing, in->info.generation);
	}
	if (cw_staging_sync(a->r->staging, err) < 0) {
		cw_incoming_rollback(in);
		return -1;
	}
	in->info.stage = CW_INCOMING_APPLYING;
	in->phase = PHASE_AWAY;
	cw_random(in->apply_id, sizeof(in->apply_id));
	if (incoming_save(in, err) < 0 || db_commit(&in->db, err) < 0) {
		cw_incoming_rollback(in);
		return -1;
	}
	return 0;
}
