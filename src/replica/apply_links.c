/*
 * Files with several names: which row is another name of what.
 */
#include "replica/apply_impl.h"
#include "store/contents.h"

#include <string.h>

static int
set_link(struct apply *a, const struct row *row, const char *to, size_t len,
    struct cw_error *err)
{
	sqlite3_stmt *st = db_stmt(&a->in->db, IN_LINK_SET, err);

	if (st == NULL)
		return -1;
	a->plans |= PLAN_HARD;
	sqlite3_bind_int64(st, 1, row->id);
	db_bind_bytes(st, 2, to, len);
	return db_run(&a->in->db, st, err);
}

/* The path of another name of it among the rows: 1, 0 none. */
static int
find_name(struct apply *a, enum in_stmt which, const struct row *row,
    struct cw_buf *path, struct cw_error *err)
{
	sqlite3_stmt *st = db_stmt(&a->in->db, which, err);
	int got;

	if (st == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, row->e.linkgroup);
	db_bind_bytes(st, 2, row->e.digest, CW_DIGEST_SIZE);
	if ((got = db_step(&a->in->db, st, err)) == 1) {
		cw_buf_reset(path);
		cw_buf_append(path, sqlite3_column_blob(st, 0),
		    (size_t)sqlite3_column_bytes(st, 0));
		cw_buf_string(path);
	}
	sqlite3_reset(st);
	return got;
}

static bool
same_text(const char *x, const char *y)
{
	return strcmp(x == NULL ? "" : x, y == NULL ? "" : y) == 0;
}

/* A search for a file that stays, among those of one content. */
struct partner {
	struct apply *a;
	const struct cw_entry *e; /* that has to be the same in all; or NULL */
	const char *but;	  /* not this path; or NULL */
	const struct stat *file;  /* this very file; or NULL */
	struct cw_buf path;
	struct cw_error *err;
};

static bool
same_metadata(const struct cw_entry *x, const struct cw_entry *y)
{
	return x->size == y->size && x->mtime_ns == y->mtime_ns &&
	       x->mode == y->mode && same_text(x->user, y->user) &&
	       same_text(x->group, y->group) && x->attrs_len == y->attrs_len &&
	       (x->attrs_len == 0 ||
		   memcmp(x->attrs, y->attrs, x->attrs_len) == 0);
}

/* The plan of the row of a path: 1 and *plan, 0 there is none. */
static int
plan_of(struct apply *a, const struct cw_buf *path, enum plan *plan,
    struct cw_error *err)
{
	sqlite3_stmt *st = db_stmt(&a->in->db, IN_ROW_KIND, err);
	int got;

	if (st == NULL)
		return -1;
	db_bind_bytes(st, 1, path->data, path->len);
	if ((got = db_step(&a->in->db, st, err)) == 1)
		*plan = (enum plan)sqlite3_column_int(st, 1);
	sqlite3_reset(st);
	return got;
}

/* 1 it stays where it is, and is in the tree as the catalog says. */
static int
try_partner(void *arg, const struct cw_entry *e)
{
	struct partner *p = arg;
	struct apply *a = p->a;
	enum plan plan = PLAN_NONE;
	const char *dir, *path;
	struct stat st;
	size_t len;
	int got;

	if (p->e != NULL && !same_metadata(e, p->e))
		return 0;
	if ((got = apply_is_going(a, e->dir, p->err)) != 0)
		return got < 0 ? -1 : 0;
	if (cw_catalog_dir_path(a->r->catalog, e->dir, &dir, &len, p->err) < 0)
		return -1;
	cw_buf_reset(&p->path);
	cw_buf_append(&p->path, dir, len);
	cw_buf_append(&p->path, "/", 1);
	cw_buf_append(&p->path, e->name, e->name_len);
	path = cw_buf_string(&p->path);
	if (p->but != NULL && strcmp(p->but, path) == 0)
		return 0;
	got = plan_of(a, &p->path, &plan, p->err);
	if (got < 0 || (got == 1 && (plan != PLAN_STAY || p->e != NULL)))
		return got < 0 ? -1 : 0;
	got = incoming_is_bad(a->in, path, p->path.len, p->err);
	if (got != 0)
		return got < 0 ? -1 : 0;
	got = cw_place_stat(a->r->place, path, &st, p->err);
	if (got != 0)
		return got < 0 ? -1 : 0;
	if (p->file != NULL &&
	    (st.st_dev != p->file->st_dev || st.st_ino != p->file->st_ino))
		return 0;
	return S_ISREG(st.st_mode) && (uint64_t)st.st_size == e->size;
}

int
apply_has_other_name(struct apply *a, const uint8_t digest[CW_DIGEST_SIZE],
    const char *path, const struct stat *st, struct cw_error *err)
{
	struct partner p = {
	    .a = a, .but = path, .file = st, .path = CW_BUF_INIT, .err = err};
	int got = cw_catalog_each_content(
	    a->r->catalog, digest, try_partner, &p, err);

	cw_buf_free(&p.path);
	return got;
}

/* Names of one file: the first one comes from staging, the others follow. */
int
apply_find_link(struct apply *a, const struct row *row, struct cw_error *err)
{
	struct partner p = {
	    .a = a, .e = &row->e, .path = CW_BUF_INIT, .err = err};
	int got = 0, ret = -1;

	if (row->e.linkgroup == 0)
		return 0;
	got = find_name(a, IN_LINK_STAYS, row, &p.path, err);
	if (got == 0)
		got = cw_catalog_each_content(
		    a->r->catalog, row->e.digest, try_partner, &p, err);
	if (got == 0) {
		got = find_name(a, IN_LINK_LEADER, row, &p.path, err);
		if (got == 1 && p.path.len == row->path_len &&
		    memcmp(p.path.data, row->path, row->path_len) == 0)
			got = 0;
	}
	if (got >= 0)
		ret = got == 0 ? 0
			       : set_link(a, row, (const char *)p.path.data,
				     p.path.len, err);
	cw_buf_free(&p.path);
	return ret;
}
