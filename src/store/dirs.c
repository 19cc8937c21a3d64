/*
 * Directories: ids and paths, and what a scan remembers of each.
 */
#include "store/catalog_impl.h"

#include "base/fs.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The row of a directory, current until the statement is reset. */
static sqlite3_stmt *
dir_row(struct cw_catalog *c, int64_t dir, struct cw_error *err)
{
	sqlite3_stmt *st = catalog_stmt(c, ST_DIR_GET, err);
	int got;

	if (st == NULL)
		return NULL;
	sqlite3_bind_int64(st, 1, dir);
	if ((got = sqlite3_step(st)) == SQLITE_ROW)
		return st;
	if (got == SQLITE_DONE)
		cw_error_set(err, CW_ERR_DAMAGED,
		    "catalog %s has no directory %" PRId64, c->path, dir);
	else
		catalog_fail(c, "read a directory", err);
	sqlite3_reset(st);
	return NULL;
}

/* Parent and name of a directory, from a row that has them at col. */
static int
parent_of(struct cw_catalog *c, sqlite3_stmt *st, int col, int64_t dir,
    int64_t *parent, const char **name, size_t *len, struct cw_error *err)
{
	*parent = sqlite3_column_int64(st, col);
	*name = sqlite3_column_blob(st, col + 1);
	*len = (size_t)sqlite3_column_bytes(st, col + 1);
	/* An id is always greater than its parent's: no cycles. */
	if (*parent >= 0 && *parent < dir && *len <= CW_ENTRY_NAME_MAX &&
	    *name != NULL && cw_name_is_safe(*name, *len))
		return 0;
	return cw_error_set(err, CW_ERR_DAMAGED,
	    "catalog %s has a malformed directory %" PRId64, c->path, dir);
}

int
catalog_dir_parent(struct cw_catalog *c, int64_t dir, int64_t *parent,
    struct cw_buf *name, struct cw_error *err)
{
	sqlite3_stmt *st = dir_row(c, dir, err);
	const char *text;
	size_t len;
	int ret;

	if (st == NULL)
		return -1;
	ret = parent_of(c, st, 0, dir, parent, &text, &len, err);
	if (ret == 0) {
		cw_buf_reset(name);
		cw_buf_append(name, text, len);
	}
	sqlite3_reset(st);
	return ret;
}

/*
 * Collects the names from the directory up to the root, each with a '/' in
 * front, into the end of a buffer that grows to the left.
 */
static int
build_path(
    struct cw_catalog *c, int64_t dir, struct cw_buf *out, struct cw_error *err)
{
	struct cw_buf name = CW_BUF_INIT;
	char *reversed = cw_malloc(CW_PATH_MAX + 1);
	size_t at = CW_PATH_MAX + 1;
	int ret = -1;

	while (dir != 0) {
		if (catalog_dir_parent(c, dir, &dir, &name, err) < 0)
			goto out;
		if (name.len + 1 > at) {
			cw_error_set(err, CW_ERR_UNSUPPORTED,
			    "catalog %s has a path longer than %u bytes",
			    c->path, CW_PATH_MAX);
			goto out;
		}
		at -= name.len + 1;
		reversed[at] = '/';
		memcpy(reversed + at + 1, name.data, name.len);
	}
	cw_buf_reset(out);
	if (at <= CW_PATH_MAX)
		cw_buf_append(out, reversed + at + 1, CW_PATH_MAX - at);
	cw_buf_string(out);
	ret = 0;
out:
	free(reversed);
	cw_buf_free(&name);
	return ret;
}

int
cw_catalog_dir_path(struct cw_catalog *c, int64_t dir, const char **path,
    size_t *len, struct cw_error *err)
{
	if (c->path_dir != dir) {
		c->path_dir = -1;
		if (build_path(c, dir, &c->path_buf, err) < 0)
			return -1;
		c->path_dir = dir;
	}
	*path = (const char *)c->path_buf.data;
	*len = c->path_buf.len;
	return 0;
}

/* 0 found, 1 no such directory, -1 error. */
static int
find_child(struct cw_catalog *c, int64_t dir, const char *name, size_t len,
    int64_t *child, struct cw_error *err)
{
	sqlite3_stmt *st = catalog_stmt(c, ST_DIR_FIND, err);
	int got, ret = 1;

	if (st == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, dir);
	bind_bytes(st, 2, name, len);
	got = sqlite3_step(st);
	if (got == SQLITE_ROW) {
		const unsigned char *kind = sqlite3_column_text(st, 0);

		if (kind != NULL && kind[0] == 'd') {
			*child = sqlite3_column_int64(st, 1);
			ret = 0;
		}
	} else if (got != SQLITE_DONE) {
		ret = catalog_fail(c, "look up a directory", err);
	}
	sqlite3_reset(st);
	return ret;
}

int
cw_catalog_dir_lookup(struct cw_catalog *c, const char *path, size_t len,
    int64_t *dir, struct cw_error *err)
{
	int64_t at = 0;
	size_t from = 0;

	if (c->found_dir >= 0 && c->found_buf.len == len &&
	    (len == 0 || memcmp(c->found_buf.data, path, len) == 0)) {
		*dir = c->found_dir;
		return 0;
	}
	while (from < len) {
		const char *slash = memchr(path + from, '/', len - from);
		size_t end = slash == NULL ? len : (size_t)(slash - path);
		int got;

		/* "a//b" and "a/" are no paths of a store. */
		if (end == from || end - from > CW_ENTRY_NAME_MAX ||
		    end + 1 == len)
			return 1;
		got = find_child(c, at, path + from, end - from, &at, err);
		if (got != 0)
			return got;
		from = end + 1;
	}
	cw_buf_reset(&c->found_buf);
	cw_buf_append(&c->found_buf, path, len);
	c->found_dir = at;
	*dir = at;
	return 0;
}

int
catalog_dir_seen(struct cw_catalog *c, int64_t dir, int64_t *mtime_ns,
    int64_t *ctime_ns, struct cw_error *err)
{
	sqlite3_stmt *st = dir_row(c, dir, err);

	if (st == NULL)
		return -1;
	*mtime_ns = sqlite3_column_int64(st, 3);
	*ctime_ns = sqlite3_column_int64(st, 4);
	sqlite3_reset(st);
	return 0;
}

int
catalog_dir_set_seen(struct cw_catalog *c, int64_t dir, int64_t mtime_ns,
    int64_t ctime_ns, struct cw_error *err)
{
	sqlite3_stmt *st = catalog_stmt(c, ST_DIR_SEEN, err);

	if (st == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, dir);
	sqlite3_bind_int64(st, 2, mtime_ns);
	sqlite3_bind_int64(st, 3, ctime_ns);
	return catalog_run(c, st, err);
}

static int
take_ids(struct cw_catalog *c, sqlite3_stmt *st, int64_t *ids, size_t max,
    size_t *count, struct cw_error *err)
{
	int got = SQLITE_DONE;

	*count = 0;
	while (*count < max && (got = sqlite3_step(st)) == SQLITE_ROW)
		ids[(*count)++] = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	if (got != SQLITE_DONE && got != SQLITE_ROW)
		return catalog_fail(c, "list directories", err);
	return 0;
}

int
catalog_dir_children(struct cw_catalog *c, int64_t dir, int64_t after,
    int64_t *ids, size_t max, size_t *count, struct cw_error *err)
{
	sqlite3_stmt *st = catalog_stmt(c, ST_DIR_CHILDREN, err);

	if (st == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, dir);
	sqlite3_bind_int64(st, 2, after);
	sqlite3_bind_int64(st, 3, (int64_t)max);
	return take_ids(c, st, ids, max, count, err);
}

int
catalog_dir_ids(struct cw_catalog *c, int64_t after, int64_t *ids, size_t max,
    size_t *count, struct cw_error *err)
{
	sqlite3_stmt *st = catalog_stmt(c, ST_DIR_IDS, err);

	if (st == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, after);
	sqlite3_bind_int64(st, 2, (int64_t)max);
	return take_ids(c, st, ids, max, count, err);
}

int
catalog_dirs(struct cw_catalog *c, int64_t after, int64_t last,
    struct catalog_dirs *out, struct cw_error *err)
{
	sqlite3_stmt *st = catalog_stmt(c, ST_DIRS, err);
	size_t at[CATALOG_DIRS];
	int got = SQLITE_DONE;

	out->count = 0;
	cw_buf_reset(&out->names);
	if (st == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, after);
	sqlite3_bind_int64(st, 2, last);
	while (out->count < CATALOG_DIRS &&
	       (got = sqlite3_step(st)) == SQLITE_ROW) {
		struct catalog_dir *d = &out->dirs[out->count];
		const char *name;

		d->id = sqlite3_column_int64(st, 0);
		if (d->id == 0)
			continue;
		if (parent_of(c, st, 1, d->id, &d->parent, &name, &d->name_len,
			err) < 0) {
			sqlite3_reset(st);
			return -1;
		}
		d->seen_mtime_ns = sqlite3_column_int64(st, 3);
		d->seen_ctime_ns = sqlite3_column_int64(st, 4);
		at[out->count++] = out->names.len;
		cw_buf_append(&out->names, name, d->name_len);
	}
	sqlite3_reset(st);
	for (size_t i = 0; i < out->count; i++)
		out->dirs[i].name = (const char *)out->names.data + at[i];
	if (got != SQLITE_DONE && got != SQLITE_ROW)
		return catalog_fail(c, "list directories", err);
	return 0;
}

int
catalog_dir_exists(struct cw_catalog *c, int64_t dir, struct cw_error *err)
{
	sqlite3_stmt *st = catalog_stmt(c, ST_DIR_GET, err);
	int got;

	if (st == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, dir);
	got = sqlite3_step(st);
	sqlite3_reset(st);
	if (got != SQLITE_ROW && got != SQLITE_DONE)
		return catalog_fail(c, "look for a directory", err);
	return got == SQLITE_ROW;
}

/* Directories that each_dir takes at once, so that no statement stands. */
#define DIR_BATCH 256

int
cw_catalog_each_dir(struct cw_catalog *c, int64_t after,
    int (*each)(void *arg, int64_t dir, const char *path, size_t len,
	const uint8_t digest[CW_STATE_SIZE]),
    void *arg, struct cw_error *err)
{
	struct cw_buf path = CW_BUF_INIT;
	int64_t ids[DIR_BATCH];
	size_t count = DIR_BATCH;
	bool mine;
	int ret;

	if ((ret = catalog_hold_own(c, &mine, err)) < 0)
		return -1;
	while (ret == 0 && count == DIR_BATCH) {
		ret = catalog_dir_ids(c, after, ids, DIR_BATCH, &count, err);
		for (size_t i = 0; i < count && ret == 0; i++) {
			uint8_t digest[CW_STATE_SIZE];
			const char *text;
			size_t len;

			if (cw_state_dir_digest(c, ids[i], digest, err) < 0 ||
			    cw_catalog_dir_path(c, ids[i], &text, &len, err) <
				0) {
				ret = -1;
				break;
			}
			/* The catalog's own is gone with each's look-ups. */
			cw_buf_reset(&path);
			cw_buf_append(&path, text, len);
			ret = each(
			    arg, ids[i], cw_buf_string(&path), len, digest);
			after = ids[i];
		}
	}
	if (mine)
		cw_catalog_release(c);
	cw_buf_free(&path);
	return ret;
}
