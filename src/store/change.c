/*
 * Changes of entries, which keep sums, counts, tombstones and superseded
 * members in step with the rows.
 */
#include "base/crypto.h"
#include "base/fs.h"
#include "store/catalog_impl.h"

#include <string.h>

/* Sums. */

int
catalog_flush_sum(struct cw_catalog *c, struct cw_error *err)
{
	sqlite3_stmt *st;

	if (c->sum_dir < 0)
		return 0;
	if ((st = catalog_stmt(c, ST_DIR_SUM, err)) == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, c->sum_dir);
	bind_bytes(st, 2, c->dir_sum, CW_STATE_SIZE);
	if (catalog_run(c, st, err) < 0)
		return -1;
	c->sum_dir = -1;
	return 0;
}

int
catalog_sum(struct cw_catalog *c, const struct cw_entry *e, int sign,
    struct cw_error *err)
{
	uint8_t mac[CW_STATE_SIZE];
	const char *path;
	size_t len;

	if (e->kind == CW_KIND_FILE && !e->has_digest)
		return 0;
	if (c->sum_dir != e->dir) {
		uint8_t sum[CW_STATE_SIZE];

		if (catalog_flush_sum(c, err) < 0 ||
		    cw_state_dir_digest(c, e->dir, sum, err) < 0)
			return -1;
		memcpy(c->dir_sum, sum, sizeof(sum));
		c->sum_dir = e->dir;
	}
	if (cw_catalog_dir_path(c, e->dir, &path, &len, err) < 0)
		return -1;
	cw_state_mac(c->state, path, len, e, mac);
	if (sign > 0) {
		cw_state_add(c->dir_sum, mac);
		cw_state_add(c->sum, mac);
	} else {
		cw_state_sub(c->dir_sum, mac);
		cw_state_sub(c->sum, mac);
	}
	c->info_dirty = true;
	return 0;
}

/* Counts one entry in (1) or out (-1). */
static void
count(struct cw_catalog *c, const struct cw_entry *e, int sign)
{
	uint64_t one = sign > 0 ? 1 : UINT64_MAX;

	c->info.entries += one;
	c->info.dirs += e->kind == CW_KIND_DIR ? one : 0;
	if (e->kind == CW_KIND_FILE) {
		c->info.files += one;
		c->info.bytes += one * e->size;
		c->info.pending += e->has_digest ? 0 : one;
	}
	c->info_dirty = true;
}

/* Changes. */

static int
attrs_id(struct cw_catalog *c, const struct cw_entry *e, int64_t *id,
    struct cw_error *err)
{
	uint8_t digest[CW_SHA256_SIZE];
	sqlite3_stmt *st;
	int got;

	*id = 0;
	if (e->attrs_len == 0)
		return 0;
	cw_sha256(e->attrs, e->attrs_len, digest);
	if ((st = catalog_stmt(c, ST_ATTRS_FIND, err)) == NULL)
		return -1;
	bind_bytes(st, 1, digest, sizeof(digest));
	got = sqlite3_step(st);
	if (got == SQLITE_ROW)
		*id = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	if (got == SQLITE_ROW)
		return 0;
	if (got != SQLITE_DONE)
		return catalog_fail(c, "look up attributes", err);
	if ((st = catalog_stmt(c, ST_ATTRS_INSERT, err)) == NULL)
		return -1;
	bind_bytes(st, 1, digest, sizeof(digest));
	bind_bytes(st, 2, e->attrs, e->attrs_len);
	if (catalog_run(c, st, err) < 0)
		return -1;
	*id = sqlite3_last_insert_rowid(c->db);
	return 0;
}

static void
bind_optional(sqlite3_stmt *st, int at, int64_t value)
{
	if (value == 0)
		sqlite3_bind_null(st, at);
	else
		sqlite3_bind_int64(st, at, value);
}

static int
write_row(struct cw_catalog *c, enum stmt which, const struct cw_entry *e,
    uint64_t generation, int64_t child, struct cw_error *err)
{
	sqlite3_stmt *st = catalog_stmt(c, which, err);
	char kind = (char)e->kind;
	int64_t user, group, attrs;

	if (st == NULL ||
	    catalog_owner_id(c, 'u', e->uid, e->user, &user, err) < 0 ||
	    catalog_owner_id(c, 'g', e->gid, e->group, &group, err) < 0 ||
	    attrs_id(c, e, &attrs, err) < 0)
		return -1;
	sqlite3_bind_int64(st, 1 + COL_DIR, e->dir);
	bind_bytes(st, 1 + COL_NAME, e->name, e->name_len);
	sqlite3_bind_text(st, 1 + COL_KIND, &kind, 1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 1 + COL_CLASS, e->class);
	sqlite3_bind_int64(st, 1 + COL_MODE, e->mode & 07777);
	sqlite3_bind_int64(st, 1 + COL_USER, user);
	sqlite3_bind_int64(st, 1 + COL_GROUP, group);
	sqlite3_bind_int64(st, 1 + COL_MTIME, e->mtime_ns);
	sqlite3_bind_int64(st, 1 + COL_CTIME, e->ctime_ns);
	sqlite3_bind_int64(
	    st, 1 + COL_SIZE, e->kind == CW_KIND_FILE ? (int64_t)e->size : 0);
	sqlite3_bind_int64(st, 1 + COL_INO, (int64_t)e->ino);
	bind_optional(st, 1 + COL_LINKGROUP, e->linkgroup);
	if (e->kind == CW_KIND_FILE && e->has_digest)
		bind_bytes(st, 1 + COL_DIGEST, e->digest, CW_DIGEST_SIZE);
	else
		sqlite3_bind_null(st, 1 + COL_DIGEST);
	if (e->kind == CW_KIND_SYMLINK)
		bind_bytes(st, 1 + COL_TARGET, e->target, e->target_len);
	else
		sqlite3_bind_null(st, 1 + COL_TARGET);
	bind_optional(st, 1 + COL_ATTRS, attrs);
	sqlite3_bind_int64(
	    st, 1 + COL_SPARSE, e->kind == CW_KIND_FILE && e->sparse);
	sqlite3_bind_int64(st, 1 + COL_GEN, (int64_t)generation);
	bind_optional(st, 1 + COL_VOLUME, e->volume);
	bind_optional(st, 1 + COL_CHILD, child);
	return catalog_run(c, st, err);
}

static int
make_dir(struct cw_catalog *c, const struct cw_entry *e, int64_t *child,
    struct cw_error *err)
{
	sqlite3_stmt *st = catalog_stmt(c, ST_DIR_INSERT, err);

	if (st == NULL)
		return -1;
	*child = c->next_dir++;
	c->info_dirty = true;
	sqlite3_bind_int64(st, 1, *child);
	sqlite3_bind_int64(st, 2, e->dir);
	bind_bytes(st, 3, e->name, e->name_len);
	return catalog_run(c, st, err);
}

static int
tombstone(struct cw_catalog *c, enum stmt which, const struct cw_entry *e,
    uint64_t generation, struct cw_error *err)
{
	sqlite3_stmt *st = catalog_stmt(c, which, err);
	char kind = (char)e->kind;

	if (st == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, e->dir);
	bind_bytes(st, 2, e->name, e->name_len);
	if (which == ST_TOMB_PUT) {
		sqlite3_bind_text(st, 3, &kind, 1, SQLITE_STATIC);
		sqlite3_bind_int64(st, 4, (int64_t)generation);
	}
	return catalog_run(c, st, err);
}

/* A content that a replica of an older generation still has. */
static int
note_gone(struct cw_catalog *c, const struct cw_entry *old, uint64_t generation,
    struct cw_error *err)
{
	sqlite3_stmt *st;

	/* Nobody has less than the first generation. */
	if (generation <= 1 || old->kind != CW_KIND_FILE || !old->has_digest)
		return 0;
	if ((st = catalog_stmt(c, ST_GONE_PUT, err)) == NULL)
		return -1;
	bind_bytes(st, 1, old->digest, CW_DIGEST_SIZE);
	sqlite3_bind_int64(st, 2, (int64_t)generation);
	sqlite3_bind_int64(st, 3, (int64_t)old->generation);
	return catalog_run(c, st, err);
}

static bool
same_content(const struct cw_entry *a, const struct cw_entry *b)
{
	return a->has_digest && b->has_digest && a->kind == b->kind &&
	       memcmp(a->digest, b->digest, CW_DIGEST_SIZE) == 0;
}

static int
check_new(const struct cw_entry *e, struct cw_error *err)
{
	if ((e->kind != CW_KIND_FILE && e->kind != CW_KIND_DIR &&
		e->kind != CW_KIND_SYMLINK) ||
	    e->name_len < 1 || e->name_len > CW_ENTRY_NAME_MAX ||
	    !cw_name_is_safe(e->name, e->name_len) || e->size > INT64_MAX ||
	    e->class > 2 || e->linkgroup < 0 || e->attrs_len > CW_ATTRS_MAX ||
	    (e->kind == CW_KIND_SYMLINK &&
		(e->target_len == 0 || e->target_len > CW_MEMBER_TARGET_MAX)))
		return cw_error_set(err, CW_ERR_UNSUPPORTED,
		    "an entry is beyond the limits of a catalog");
	return 0;
}

int
catalog_put_over(struct cw_catalog *c, const struct cw_entry *old,
    const struct cw_entry *e, uint64_t generation, int64_t *child,
    struct cw_error *err)
{
	int64_t id = old == NULL ? 0 : old->child;

	if (check_new(e, err) < 0)
		return -1;
	if (old != NULL &&
	    (old->kind == CW_KIND_DIR) != (e->kind == CW_KIND_DIR))
		return cw_error_set(err, CW_ERR_FAILED,
		    "a directory must be removed before another kind of "
		    "entry takes its place");
	if (old != NULL) {
		if (catalog_sum(c, old, -1, err) < 0 ||
		    catalog_unpack(c, old, err) < 0 ||
		    (!same_content(old, e) &&
			note_gone(c, old, generation, err) < 0))
			return -1;
		count(c, old, -1);
	} else {
		if (e->kind == CW_KIND_DIR && make_dir(c, e, &id, err) < 0)
			return -1;
		/* A new store has no tombstones to look for. */
		if (generation > 1 && e->kind != CW_KIND_DIR &&
		    tombstone(c, ST_TOMB_DROP, e, 0, err) < 0)
			return -1;
	}
	if (write_row(c, old == NULL ? ST_INSERT : ST_UPDATE, e, generation, id,
		err) < 0 ||
	    catalog_sum(c, e, 1, err) < 0)
		return -1;
	count(c, e, 1);
	if (child != NULL)
		*child = id;
	if (e->dir == 0)
		return catalog_load_roots(c, err);
	return 0;
}

int
cw_catalog_put(struct cw_catalog *c, const struct cw_entry *e,
    uint64_t generation, int64_t *child, struct cw_error *err)
{
	struct cw_buf attrs = CW_BUF_INIT, target = CW_BUF_INIT;
	struct cw_entry old;
	char name[CW_ENTRY_NAME_MAX + 1];
	int got = cw_catalog_lookup(c, e->dir, e->name, e->name_len, &old, err);

	if (got < 0)
		return -1;
	if (got == 0) {
		/* The look-up's buffers serve others meanwhile. */
		memcpy(name, old.name, old.name_len + 1);
		old.name = name;
		if (old.attrs_len > 0) {
			cw_buf_append(&attrs, old.attrs, old.attrs_len);
			old.attrs = attrs.data;
		}
		if (old.target_len > 0) {
			cw_buf_append(&target, old.target, old.target_len);
			old.target = (const char *)target.data;
		}
	}
	got = catalog_put_over(
	    c, got == 0 ? &old : NULL, e, generation, child, err);
	cw_buf_free(&attrs);
	cw_buf_free(&target);
	return got;
}

/* One row without what may be in it. */
static int
delete_row(struct cw_catalog *c, const struct cw_entry *old,
    uint64_t generation, struct cw_error *err)
{
	sqlite3_stmt *st = catalog_stmt(c, ST_DELETE, err);

	if (st == NULL || catalog_sum(c, old, -1, err) < 0 ||
	    catalog_unpack(c, old, err) < 0 ||
	    note_gone(c, old, generation, err) < 0)
		return -1;
	count(c, old, -1);
	sqlite3_bind_int64(st, 1, old->dir);
	bind_bytes(st, 2, old->name, old->name_len);
	return catalog_run(c, st, err);
}

/* The directory's own row, once it is empty. */
static int
forget_dir(struct cw_catalog *c, int64_t dir, struct cw_error *err)
{
	sqlite3_stmt *st;

	if (c->sum_dir == dir)
		c->sum_dir = -1;
	if (c->path_dir == dir)
		c->path_dir = -1;
	c->found_dir = -1;
	if ((st = catalog_stmt(c, ST_TOMB_DIR, err)) == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, dir);
	if (catalog_run(c, st, err) < 0 ||
	    (st = catalog_stmt(c, ST_DIR_DELETE, err)) == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, dir);
	return catalog_run(c, st, err);
}

/* The first row in a directory: 1 and *k filled, 0 none, -1 error. */
static int
first_in(
    struct cw_catalog *c, int64_t dir, struct kept *k, struct cw_error *err)
{
	sqlite3_stmt *st = catalog_stmt(c, ST_LIST, err);
	struct cw_entry e;
	int got, ret = -1;

	if (st == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, dir);
	bind_bytes(st, 2, "", 0);
	sqlite3_bind_int64(st, 3, 1);
	got = sqlite3_step(st);
	if (got == SQLITE_DONE) {
		ret = 0;
	} else if (got != SQLITE_ROW) {
		catalog_fail(c, "list a directory", err);
	} else if (row_read(c, st, &e, err) == 0) {
		kept_take(k, &e);
		ret = 1;
	}
	sqlite3_reset(st);
	return ret;
}

/*
 * Empties a directory depth first: goes down into the first directory it
 * meets, up when one is empty.  No memory grows with depth or width.
 */
static int
empty_dir(struct cw_catalog *c, int64_t top, uint64_t generation,
    struct cw_error *err)
{
	struct cw_buf name = CW_BUF_INIT;
	struct kept k = KEPT_INIT;
	int64_t dir = top;
	int ret = -1;

	for (;;) {
		int got = first_in(c, dir, &k, err);

		if (got < 0)
			goto out;
		if (got == 1 && k.e.kind == CW_KIND_DIR) {
			struct kept inner = KEPT_INIT;
			int any = first_in(c, k.e.child, &inner, err);

			kept_free(&inner);
			if (any < 0)
				goto out;
			if (any == 1) {
				dir = k.e.child;
				continue;
			}
		}
		if (got == 1) {
			if (delete_row(c, &k.e, generation, err) < 0 ||
			    (k.e.kind == CW_KIND_DIR &&
				forget_dir(c, k.e.child, err) < 0))
				goto out;
			continue;
		}
		if (dir == top)
			break;
		if (catalog_dir_parent(c, dir, &dir, &name, err) < 0)
			goto out;
	}
	ret = 0;
out:
	cw_buf_free(&name);
	kept_free(&k);
	return ret;
}

int
catalog_remove_row(struct cw_catalog *c, const struct cw_entry *old,
    uint64_t generation, struct cw_error *err)
{
	if (old->kind == CW_KIND_DIR &&
	    empty_dir(c, old->child, generation, err) < 0)
		return -1;
	if (delete_row(c, old, generation, err) < 0 ||
	    (old->kind == CW_KIND_DIR && forget_dir(c, old->child, err) < 0))
		return -1;
	/* It covers all that was in a directory. */
	if (tombstone(c, ST_TOMB_PUT, old, generation, err) < 0)
		return -1;
	return old->dir == 0 ? catalog_load_roots(c, err) : 0;
}

int
cw_catalog_remove(struct cw_catalog *c, int64_t dir, const char *name,
    size_t len, uint64_t generation, struct cw_error *err)
{
	struct kept k = KEPT_INIT;
	struct cw_entry old;
	int got = cw_catalog_lookup(c, dir, name, len, &old, err);

	if (got != 0)
		return got < 0 ? -1 : 0;
	kept_take(&k, &old);
	got = catalog_remove_row(c, &k.e, generation, err);
	kept_free(&k);
	return got;
}

static int
note_stat(struct cw_catalog *c, int64_t dir, const char *name, size_t len,
    uint64_t ino, int64_t ctime_ns, int64_t linkgroup, const int64_t *mtime_ns,
    struct cw_error *err)
{
	sqlite3_stmt *st = catalog_stmt(c, ST_NOTE_STAT, err);

	if (st == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, dir);
	bind_bytes(st, 2, name, len);
	sqlite3_bind_int64(st, 3, (int64_t)ino);
	sqlite3_bind_int64(st, 4, ctime_ns);
	bind_optional(st, 5, linkgroup);
	if (mtime_ns != NULL)
		sqlite3_bind_int64(st, 6, *mtime_ns);
	else
		sqlite3_bind_null(st, 6);
	return catalog_run(c, st, err);
}

int
cw_catalog_note_stat(struct cw_catalog *c, int64_t dir, const char *name,
    size_t len, uint64_t ino, int64_t ctime_ns, int64_t linkgroup,
    struct cw_error *err)
{
	return note_stat(
	    c, dir, name, len, ino, ctime_ns, linkgroup, NULL, err);
}

int
catalog_touch(struct cw_catalog *c, const struct cw_entry *old,
    const struct cw_entry *e, struct cw_error *err)
{
	return note_stat(c, old->dir, old->name, old->name_len, e->ino,
	    e->ctime_ns, e->linkgroup,
	    e->kind == CW_KIND_DIR ? &e->mtime_ns : NULL, err);
}

int
cw_catalog_set_digest(struct cw_catalog *c, const struct cw_entry *read,
    const uint8_t digest[CW_DIGEST_SIZE], struct cw_error *err)
{
	struct cw_entry row;
	sqlite3_stmt *st;
	int got = cw_catalog_lookup(
	    c, read->dir, read->name, read->name_len, &row, err);

	if (got != 0)
		return got;
	if (row.kind != CW_KIND_FILE || row.size != read->size ||
	    row.mtime_ns != read->mtime_ns || row.ctime_ns != read->ctime_ns ||
	    row.ino != read->ino)
		return 1;
	if (row.has_digest)
		return memcmp(row.digest, digest, CW_DIGEST_SIZE) == 0 ? 0 : 1;
	if ((st = catalog_stmt(c, ST_SET_DIGEST, err)) == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, row.dir);
	bind_bytes(st, 2, row.name, row.name_len);
	bind_bytes(st, 3, digest, CW_DIGEST_SIZE);
	if (catalog_run(c, st, err) < 0)
		return -1;
	row.has_digest = true;
	memcpy(row.digest, digest, CW_DIGEST_SIZE);
	c->info.pending--;
	return catalog_sum(c, &row, 1, err);
}
