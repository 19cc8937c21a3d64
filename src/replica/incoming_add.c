/*
 * Changes become rows, one for each path.
 */
#include "replica/incoming_impl.h"

#include <string.h>

void
incoming_join(struct cw_incoming *in, const struct cw_change *ch)
{
	cw_buf_reset(&in->path);
	if (ch->dir_path_len > 0) {
		cw_buf_append(&in->path, ch->dir_path, ch->dir_path_len);
		cw_buf_append(&in->path, "/", 1);
	}
	cw_buf_append(&in->path, ch->e.name, ch->e.name_len);
	cw_buf_string(&in->path);
}

static int
drop_below(struct cw_incoming *in, struct cw_error *err)
{
	sqlite3_stmt *st = db_stmt(&in->db, IN_ROW_DROP_BELOW, err);
	struct cw_buf from = CW_BUF_INIT;
	struct cw_buf to = CW_BUF_INIT;
	int ret = -1;

	if (st != NULL) {
		cw_buf_append(&from, in->path.data, in->path.len);
		cw_buf_append(&to, in->path.data, in->path.len);
		cw_buf_append(&from, "/", 1);
		cw_buf_append(&to, "0", 1); /* what follows the slash */
		db_bind_bytes(st, 1, from.data, from.len);
		db_bind_bytes(st, 2, to.data, to.len);
		ret = db_run(&in->db, st, err);
		if (ret == 0)
			in->info.rows -= (uint64_t)sqlite3_changes64(in->db.db);
	}
	cw_buf_free(&from);
	cw_buf_free(&to);
	return ret;
}

int
incoming_drop(struct cw_incoming *in, struct cw_error *err)
{
	sqlite3_stmt *st = db_stmt(&in->db, IN_ROW_DROP, err);

	if (st == NULL)
		return -1;
	db_bind_bytes(st, 1, in->path.data, in->path.len);
	if (db_run(&in->db, st, err) < 0)
		return -1;
	in->info.rows -= (uint64_t)sqlite3_changes64(in->db.db);
	return 0;
}

static int
add_removal(
    struct cw_incoming *in, const struct cw_change *ch, struct cw_error *err)
{
	sqlite3_stmt *st;

	if (drop_below(in, err) < 0 || incoming_drop(in, err) < 0 ||
	    (st = db_stmt(&in->db, IN_ROW_WIPE, err)) == NULL)
		return -1;
	db_bind_bytes(st, 1, in->path.data, in->path.len);
	sqlite3_bind_int64(st, 2, (int64_t)ch->e.generation);
	if (db_run(&in->db, st, err) < 0)
		return -1;
	in->info.rows++;
	return 0;
}

/* The order in which contents are wanted. */
static void
wish(const struct cw_entry *e, bool has_come, int64_t *order, int64_t *key)
{
	*order = has_come ? WISH_HAS_COME : 0;
	*key = 0;
	if (e->class == 0 || has_come)
		return;
	*order = e->size <= CW_SMALL_MAX ? 1 : 2;
	if (*order == 2)
		*key = (int64_t)e->size;
	else
		*key = e->mtime_ns == INT64_MIN ? INT64_MAX : -e->mtime_ns;
}

void
cw_incoming_want_from(const struct cw_entry *e, struct cw_want_cursor *at)
{
	wish(e, false, &at->wish, &at->key);
	at->row = 0;
}

/* What apply will find to do for it, most likely: it writes what differs. */
static enum plan
guess(const struct cw_entry *e)
{
	return e->kind == CW_KIND_DIR	    ? PLAN_DIR
	       : e->kind == CW_KIND_SYMLINK ? PLAN_SYMLINK
					    : PLAN_STAGED;
}

static int
put_row(struct cw_incoming *in, const struct cw_entry *e, bool has_come,
    struct cw_error *err)
{
	sqlite3_stmt *st = db_stmt(&in->db, IN_ROW_PUT, err);
	int64_t order, key;

	if (st == NULL)
		return -1;
	wish(e, has_come, &order, &key);
	db_bind_bytes(st, 1, in->path.data, in->path.len);
	db_bind_entry(st, 2, e);
	sqlite3_bind_int64(st, 2 + DB_ENTRY_COUNT, order);
	sqlite3_bind_int64(st, 3 + DB_ENTRY_COUNT, key);
	sqlite3_bind_int(st, 4 + DB_ENTRY_COUNT, (int)guess(e));
	/* It tells whether the row is new. */
	sqlite3_set_last_insert_rowid(in->db.db, 0);
	if (db_run(&in->db, st, err) < 0)
		return -1;
	in->info.rows += sqlite3_last_insert_rowid(in->db.db) != 0;
	return 0;
}

static int
add(struct cw_incoming *in, const struct cw_change *ch, bool has_come,
    struct cw_error *err)
{
	if (incoming_refuse_applying(in, err) < 0 ||
	    incoming_check(in, ch, err) < 0)
		return -1;
	if (in->info.stage == CW_INCOMING_EMPTY)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "a change came before the begin of a plan");
	if (db_begin(&in->db, err) < 0)
		return -1;
	in->info.stage = CW_INCOMING_COLLECTING;
	incoming_join(in, ch);
	if (ch->is_removal)
		return add_removal(in, ch, err);
	return put_row(in, &ch->e, has_come, err);
}

int
cw_incoming_add(
    struct cw_incoming *in, const struct cw_change *ch, struct cw_error *err)
{
	return add(in, ch, false, err);
}

int
cw_incoming_add_come(
    struct cw_incoming *in, const struct cw_change *ch, struct cw_error *err)
{
	return add(in, ch, true, err);
}
