/*
 * Look-ups by content and by base name.
 */
#include "store/contents.h"

#include "store/catalog_impl.h"

#include <string.h>

int
cw_catalog_has_content_index(
    struct cw_catalog *c, bool *has, struct cw_error *err)
{
	if (!c->has_content_index &&
	    schema_has_content_index(c->db, &c->has_content_index, err) < 0) {
		cw_error_context(err, "catalog %s", c->path);
		return -1;
	}
	*has = c->has_content_index;
	return 0;
}

int
cw_catalog_index_contents(struct cw_catalog *c, struct cw_error *err)
{
	bool mine, has;
	int ret = 0;

	if (cw_catalog_has_content_index(c, &has, err) < 0)
		return -1;
	if (has)
		return 0;
	if (catalog_begin_own(c, &mine, err) < 0)
		return -1;
	if (schema_add_content_index(c->db, err) < 0) {
		cw_error_context(err, "catalog %s", c->path);
		ret = -1;
	}
	if (catalog_end_own(c, mine, ret, err) < 0)
		return -1;
	/* Inside another's transaction it may yet be taken back. */
	c->has_content_index = mine;
	return 0;
}

static int
need_index(struct cw_catalog *c, struct cw_error *err)
{
	bool has;

	if (cw_catalog_has_content_index(c, &has, err) < 0)
		return -1;
	if (has)
		return 0;
	return cw_error_set(err, CW_ERR_FAILED,
	    "catalog %s has no index of contents: this is a bug", c->path);
}

/* The first file of this content behind (dir, name): 1, 0 none, -1. */
static int
next_content(struct cw_catalog *c, const uint8_t *digest, struct kept *k,
    struct cw_error *err)
{
	sqlite3_stmt *st = catalog_stmt(c, ST_CONTENT, err);
	struct cw_entry e;
	int got, ret = -1;

	if (st == NULL)
		return -1;
	bind_bytes(st, 1, digest, CW_DIGEST_SIZE);
	sqlite3_bind_int64(st, 2, k->e.dir);
	bind_bytes(st, 3, k->e.name, k->e.name_len);
	got = sqlite3_step(st);
	if (got == SQLITE_DONE) {
		ret = 0;
	} else if (got != SQLITE_ROW) {
		catalog_fail(c, "look for a content", err);
	} else if (row_read(c, st, &e, err) == 0) {
		kept_take(k, &e);
		ret = 1;
	}
	sqlite3_reset(st);
	return ret;
}

int
cw_catalog_each_content(struct cw_catalog *c,
    const uint8_t digest[CW_DIGEST_SIZE],
    int (*each)(void *arg, const struct cw_entry *e), void *arg,
    struct cw_error *err)
{
	struct kept k = KEPT_INIT;
	int got, ret = 0;

	if (need_index(c, err) < 0)
		return -1;
	k.e.dir = -1;
	while (ret == 0 && (got = next_content(c, digest, &k, err)) != 0)
		ret = got < 0 ? -1 : each(arg, &k.e);
	kept_free(&k);
	return ret;
}

/* Runs a query that says whether there is a row. */
static int
any_row(struct cw_catalog *c, sqlite3_stmt *st, bool *any, struct cw_error *err)
{
	int got = sqlite3_step(st);

	sqlite3_reset(st);
	*any = got == SQLITE_ROW;
	if (got == SQLITE_ROW || got == SQLITE_DONE)
		return 0;
	return catalog_fail(c, "look something up", err);
}

int
cw_catalog_content_known(struct cw_catalog *c, const struct cw_entry *e,
    uint64_t since, bool *known, struct cw_error *err)
{
	sqlite3_stmt *st;

	*known = false;
	if (need_index(c, err) < 0 ||
	    (st = catalog_stmt(c, ST_CONTENT_BEFORE, err)) == NULL)
		return -1;
	bind_bytes(st, 1, e->digest, CW_DIGEST_SIZE);
	sqlite3_bind_int64(st, 2, e->dir);
	bind_bytes(st, 3, e->name, e->name_len);
	sqlite3_bind_int64(st, 4, (int64_t)since);
	sqlite3_bind_int64(st, 5, (int64_t)e->generation);
	if (any_row(c, st, known, err) < 0)
		return -1;
	/*
	 * Who has nothing does not have what went either, and a catalog of
	 * version 1 does not know it.
	 */
	if (*known || since == 0 || c->version < 2)
		return 0;
	if ((st = catalog_stmt(c, ST_GONE_SINCE, err)) == NULL)
		return -1;
	bind_bytes(st, 1, e->digest, CW_DIGEST_SIZE);
	sqlite3_bind_int64(st, 2, (int64_t)since);
	return any_row(c, st, known, err);
}

/*
 * Names of one base are the base itself and all that begin with it and ':';
 * between the two others may stand ("1.M1,S=5:2,S" is another base than
 * "1.M1").  ';' follows ':'.
 */
struct base_range {
	char from[CW_ENTRY_NAME_MAX + 1];
	char to[CW_ENTRY_NAME_MAX + 1];
	size_t len;
};

static bool
find_range(const char *base, size_t len, struct base_range *r)
{
	if (len == 0 || len > CW_ENTRY_NAME_MAX ||
	    memchr(base, ':', len) != NULL)
		return false;
	memcpy(r->from, base, len);
	memcpy(r->to, base, len);
	r->from[len] = ':';
	r->to[len] = ';';
	r->len = len + 1;
	return true;
}

static int
find_first(struct cw_catalog *c, int64_t dir, const struct base_range *r,
    struct cw_entry *out, struct cw_error *err)
{
	sqlite3_stmt *st = catalog_stmt(c, ST_BASE, err);
	int got, ret = -1;

	if (st == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, dir);
	bind_bytes(st, 2, r->from, r->len);
	bind_bytes(st, 3, r->to, r->len);
	got = sqlite3_step(st);
	if (got == SQLITE_DONE) {
		ret = 1;
	} else if (got != SQLITE_ROW) {
		catalog_fail(c, "look for a message", err);
	} else if (row_read(c, st, out, err) == 0) {
		row_keep(c, out);
		ret = 0;
	}
	sqlite3_reset(st);
	return ret;
}

int
cw_catalog_find_base(struct cw_catalog *c, int64_t dir, const char *base,
    size_t base_len, struct cw_entry *out, struct cw_error *err)
{
	struct base_range r;
	int got;

	if (!find_range(base, base_len, &r))
		return 1;
	got = cw_catalog_lookup(c, dir, base, base_len, out, err);
	if (got < 0 || (got == 0 && out->kind == CW_KIND_FILE))
		return got;
	return find_first(c, dir, &r, out, err);
}

static int
tombstone_in(struct cw_catalog *c, int64_t dir, const char *from,
    size_t from_len, const char *to, size_t to_len, uint64_t since, bool *any,
    struct cw_error *err)
{
	sqlite3_stmt *st = catalog_stmt(c, ST_TOMB_BASE, err);

	if (st == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, dir);
	bind_bytes(st, 2, from, from_len);
	bind_bytes(st, 3, to, to_len);
	sqlite3_bind_int64(st, 4, (int64_t)since);
	return any_row(c, st, any, err);
}

int
cw_catalog_tombstone_base(struct cw_catalog *c, int64_t dir, const char *base,
    size_t base_len, uint64_t since, struct cw_error *err)
{
	struct base_range r;
	bool any;

	if (!find_range(base, base_len, &r))
		return 0;
	/* The base itself: up to the same with a zero byte behind it. */
	r.from[base_len] = '\0';
	if (tombstone_in(c, dir, base, base_len, r.from, base_len + 1, since,
		&any, err) < 0)
		return -1;
	if (any)
		return 1;
	r.from[base_len] = ':';
	if (tombstone_in(c, dir, r.from, r.len, r.to, r.len, since, &any, err) <
	    0)
		return -1;
	return any;
}
