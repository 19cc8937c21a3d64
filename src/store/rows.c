/*
 * Reading rows, and checking each: they may come from a stranger.
 */
#include "base/fs.h"
#include "store/catalog_impl.h"

#include <inttypes.h>
#include <string.h>

int
row_bad(
    struct cw_catalog *c, const char *what, int64_t dir, struct cw_error *err)
{
	return cw_error_set(err, CW_ERR_DAMAGED,
	    "catalog %s has an entry with a malformed %s in directory %" PRId64,
	    c->path, what, dir);
}

/* An integer from min to max; nothing else passes. */
bool
row_number(sqlite3_stmt *st, int col, int64_t min, int64_t max, int64_t *out)
{
	if (sqlite3_column_type(st, col) != SQLITE_INTEGER)
		return false;
	*out = sqlite3_column_int64(st, col);
	return *out >= min && *out <= max;
}

/* The same where NULL means 0; 0 itself is not to be written. */
static bool
take_optional(sqlite3_stmt *st, int col, int64_t max, int64_t *out)
{
	*out = 0;
	if (sqlite3_column_type(st, col) == SQLITE_NULL)
		return true;
	return row_number(st, col, 1, max, out);
}

static bool
take_bytes(sqlite3_stmt *st, int col, size_t min, size_t max, const void **out,
    size_t *len)
{
	if (sqlite3_column_type(st, col) != SQLITE_BLOB)
		return false;
	*out = sqlite3_column_blob(st, col);
	*len = (size_t)sqlite3_column_bytes(st, col);
	return *len >= min && *len <= max && (*len == 0 || *out != NULL);
}

static int
load_attrs(struct cw_catalog *c, int64_t id, int64_t dir, struct cw_error *err)
{
	sqlite3_stmt *st;
	const void *data;
	size_t len;
	int got;

	if (id == c->attrs_id)
		return 0;
	c->attrs_id = 0;
	if ((st = catalog_stmt(c, ST_ATTRS_GET, err)) == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, id);
	got = sqlite3_step(st);
	if (got == SQLITE_ROW &&
	    take_bytes(st, 0, 1, CW_ATTRS_MAX, &data, &len)) {
		cw_buf_reset(&c->attrs_buf);
		cw_buf_append(&c->attrs_buf, data, len);
		c->attrs_id = id;
		got = 0;
	} else if (got == SQLITE_ROW || got == SQLITE_DONE) {
		got = row_bad(c, "set of attributes", dir, err);
	} else {
		got = catalog_fail(c, "read attributes", err);
	}
	sqlite3_reset(st);
	return got;
}

static int
read_owners(struct cw_catalog *c, sqlite3_stmt *st, struct cw_entry *e,
    struct cw_error *err)
{
	const struct owner *user, *group;
	int64_t user_id, group_id;

	if (!row_number(st, COL_USER, 1, INT64_MAX, &user_id) ||
	    !row_number(st, COL_GROUP, 1, INT64_MAX, &group_id))
		return row_bad(c, "owner", e->dir, err);
	if ((user = catalog_owner(c, user_id, 'u', err)) == NULL ||
	    (group = catalog_owner(c, group_id, 'g', err)) == NULL)
		return -1;
	e->uid = user->number;
	e->user = user->name;
	e->gid = group->number;
	e->group = group->name;
	return 0;
}

/* The columns that only one kind of entry has. */
static const char *
read_by_kind(sqlite3_stmt *st, struct cw_entry *e)
{
	bool is_file = e->kind == CW_KIND_FILE;
	bool is_symlink = e->kind == CW_KIND_SYMLINK;
	const void *blob;
	int64_t n;
	size_t len;

	if (!row_number(st, COL_SIZE, 0, is_file ? INT64_MAX : 0, &n))
		return "size";
	e->size = (uint64_t)n;
	if (!row_number(st, COL_SPARSE, 0, is_file, &n))
		return "sparse mark";
	e->sparse = n != 0;
	if (sqlite3_column_type(st, COL_DIGEST) != SQLITE_NULL) {
		if (!is_file || !take_bytes(st, COL_DIGEST, CW_DIGEST_SIZE,
				    CW_DIGEST_SIZE, &blob, &len))
			return "digest";
		memcpy(e->digest, blob, len);
		e->has_digest = true;
	}
	if (is_symlink) {
		if (!take_bytes(
			st, COL_TARGET, 1, CW_MEMBER_TARGET_MAX, &blob, &len) ||
		    memchr(blob, '\0', len) != NULL)
			return "target";
		e->target = blob;
		e->target_len = len;
	} else if (sqlite3_column_type(st, COL_TARGET) != SQLITE_NULL) {
		return "target";
	}
	if (!take_optional(st, COL_CHILD, INT64_MAX, &e->child) ||
	    (e->kind == CW_KIND_DIR) != (e->child != 0) ||
	    (e->child != 0 && e->child <= e->dir))
		return "directory id";
	return NULL;
}

static const char *
read_plain(sqlite3_stmt *st, struct cw_entry *e)
{
	const unsigned char *kind;
	const void *blob;
	int64_t n;

	if (!row_number(st, COL_DIR, 0, INT64_MAX - 1, &e->dir))
		return "directory";
	if (!take_bytes(
		st, COL_NAME, 1, CW_ENTRY_NAME_MAX, &blob, &e->name_len) ||
	    memchr(blob, '\0', e->name_len) != NULL ||
	    !cw_name_is_safe(blob, e->name_len))
		return "name";
	e->name = blob;
	if (sqlite3_column_type(st, COL_KIND) != SQLITE_TEXT ||
	    (kind = sqlite3_column_text(st, COL_KIND)) == NULL ||
	    sqlite3_column_bytes(st, COL_KIND) != 1 ||
	    (kind[0] != 'f' && kind[0] != 'd' && kind[0] != 'l'))
		return "kind";
	e->kind = (enum cw_kind)kind[0];
	if (!row_number(st, COL_CLASS, 0, 2, &n))
		return "class";
	e->class = (uint8_t)n;
	if (!row_number(st, COL_MODE, 0, 07777, &n))
		return "mode";
	e->mode = (uint32_t)n;
	if (!row_number(st, COL_MTIME, INT64_MIN, INT64_MAX, &e->mtime_ns) ||
	    !row_number(st, COL_CTIME, INT64_MIN, INT64_MAX, &e->ctime_ns))
		return "time";
	if (!row_number(st, COL_INO, INT64_MIN, INT64_MAX, &n))
		return "inode";
	e->ino = (uint64_t)n;
	if (!take_optional(st, COL_LINKGROUP, INT64_MAX, &e->linkgroup))
		return "link group";
	if (!row_number(st, COL_GEN, 0, INT64_MAX, &n))
		return "generation";
	e->generation = (uint64_t)n;
	if (!take_optional(st, COL_VOLUME, UINT32_MAX, &n))
		return "volume";
	e->volume = (uint32_t)n;
	return NULL;
}

int
row_read(struct cw_catalog *c, sqlite3_stmt *st, struct cw_entry *out,
    struct cw_error *err)
{
	const char *bad;
	int64_t attrs;

	*out = (struct cw_entry){0};
	if ((bad = read_plain(st, out)) != NULL ||
	    (bad = read_by_kind(st, out)) != NULL)
		return row_bad(c, bad, out->dir, err);
	if (read_owners(c, st, out, err) < 0)
		return -1;
	if (!take_optional(st, COL_ATTRS, INT64_MAX, &attrs))
		return row_bad(c, "set of attributes", out->dir, err);
	if (attrs != 0) {
		if (load_attrs(c, attrs, out->dir, err) < 0)
			return -1;
		out->attrs = c->attrs_buf.data;
		out->attrs_len = c->attrs_buf.len;
	}
	return 0;
}

void
row_keep(struct cw_catalog *c, struct cw_entry *e)
{
	memcpy(c->name_buf, e->name, e->name_len);
	c->name_buf[e->name_len] = '\0';
	e->name = c->name_buf;
	if (e->target != NULL) {
		cw_buf_reset(&c->target_buf);
		cw_buf_append(&c->target_buf, e->target, e->target_len);
		e->target = cw_buf_string(&c->target_buf);
	}
}

void
kept_take(struct kept *k, const struct cw_entry *e)
{
	size_t target = e->name_len + 1, attrs = target + e->target_len + 1;

	k->e = *e;
	cw_buf_reset(&k->bytes);
	cw_buf_append(&k->bytes, e->name, e->name_len);
	cw_buf_append(&k->bytes, "", 1);
	if (e->target_len > 0)
		cw_buf_append(&k->bytes, e->target, e->target_len);
	cw_buf_append(&k->bytes, "", 1);
	if (e->attrs_len > 0)
		cw_buf_append(&k->bytes, e->attrs, e->attrs_len);
	k->e.name = (const char *)k->bytes.data;
	if (e->target_len > 0)
		k->e.target = (const char *)k->bytes.data + target;
	if (e->attrs_len > 0)
		k->e.attrs = k->bytes.data + attrs;
}

void
kept_free(struct kept *k)
{
	cw_buf_free(&k->bytes);
}

int
cw_catalog_lookup(struct cw_catalog *c, int64_t dir, const char *name,
    size_t len, struct cw_entry *out, struct cw_error *err)
{
	sqlite3_stmt *st = catalog_stmt(c, ST_LOOKUP, err);
	int got, ret = -1;

	if (st == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, dir);
	bind_bytes(st, 2, name, len);
	got = sqlite3_step(st);
	if (got == SQLITE_ROW) {
		ret = row_read(c, st, out, err);
		if (ret == 0)
			row_keep(c, out);
	} else if (got == SQLITE_DONE) {
		ret = 1;
	} else {
		catalog_fail(c, "look up an entry", err);
	}
	sqlite3_reset(st);
	return ret;
}

int
cw_catalog_lookup_path(struct cw_catalog *c, const char *path, size_t len,
    struct cw_entry *out, struct cw_error *err)
{
	const char *slash = len == 0 ? NULL : memrchr(path, '/', len);
	size_t dir_len = slash == NULL ? 0 : (size_t)(slash - path);
	size_t name_at = slash == NULL ? 0 : dir_len + 1;
	int64_t dir = 0;
	int got;

	if (len == name_at || len - name_at > CW_ENTRY_NAME_MAX ||
	    (slash != NULL && dir_len == 0))
		return 1;
	got = cw_catalog_dir_lookup(c, path, dir_len, &dir, err);
	if (got != 0)
		return got;
	return cw_catalog_lookup(
	    c, dir, path + name_at, len - name_at, out, err);
}
