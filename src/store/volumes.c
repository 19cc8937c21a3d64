/*
 * Forgetting volumes: what the catalog was told of a volume before it was
 * durable is undone when it never became so.
 */
#include "store/catalog_impl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Files of which a part lies in a volume that goes. */
struct victims {
	struct victim {
		int64_t dir;
		size_t at, len; /* of the name in names */
	} * items;
	size_t count;
	struct cw_buf names;
};

static int
find_victims(struct cw_catalog *c, struct victims *v, struct cw_error *err)
{
	sqlite3_stmt *st;
	int got, ret = -1;

	if (catalog_prepare(c,
		"SELECT DISTINCT dir,name FROM part"
		" WHERE volume NOT IN (SELECT volume FROM temp.kept)",
		&st, err) < 0)
		return -1;
	while ((got = sqlite3_step(st)) == SQLITE_ROW) {
		const void *name = sqlite3_column_blob(st, 1);
		size_t len = (size_t)sqlite3_column_bytes(st, 1);

		if (v->count % 64 == 0)
			v->items = cw_reallocarray(
			    v->items, v->count + 64, sizeof(*v->items));
		v->items[v->count].dir = sqlite3_column_int64(st, 0);
		v->items[v->count].at = v->names.len;
		v->items[v->count].len = len;
		v->count++;
		cw_buf_append(&v->names, name, len);
	}
	if (got == SQLITE_DONE)
		ret = 0;
	else
		catalog_fail(c, "find parts of files", err);
	sqlite3_finalize(st);
	return ret;
}

static int
unpack_victim(struct cw_catalog *c, int64_t dir, const char *name, size_t len,
    struct cw_error *err)
{
	sqlite3_stmt *st;

	if (cw_catalog_clear_parts(c, dir, name, len, err) < 0)
		return -1;
	st = catalog_stmt(c, ST_UNPACK, err);
	if (st == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, dir);
	bind_bytes(st, 2, name, len);
	return catalog_run(c, st, err);
}

/* The volumes that stay are in temp.kept. */
static int
drop_others(struct cw_catalog *c, struct cw_error *err)
{
	struct victims v = {NULL, 0, CW_BUF_INIT};
	int ret;

	ret = find_victims(c, &v, err);
	for (size_t i = 0; i < v.count && ret == 0; i++)
		ret = unpack_victim(c, v.items[i].dir,
		    (const char *)v.names.data + v.items[i].at, v.items[i].len,
		    err);
	if (ret == 0)
		ret = catalog_exec(c,
		    "UPDATE entry SET volume=NULL WHERE volume IS NOT NULL"
		    " AND volume NOT IN (SELECT volume FROM temp.kept);"
		    "DELETE FROM superseded"
		    " WHERE volume NOT IN (SELECT volume FROM temp.kept);",
		    err);
	free(v.items);
	cw_buf_free(&v.names);
	return ret;
}

static int
keep(struct cw_catalog *c, uint32_t volume, struct cw_error *err)
{
	char sql[96];

	(void)sqlite3_snprintf(sizeof(sql), sql,
	    "INSERT OR IGNORE INTO temp.kept VALUES(%u)", volume);
	return catalog_exec(c, sql, err);
}

static int
begin(struct cw_catalog *c, struct cw_error *err)
{
	if (cw_catalog_begin(c, err) < 0)
		return -1;
	return catalog_exec(c,
	    "CREATE TEMP TABLE IF NOT EXISTS kept(volume INTEGER PRIMARY KEY);"
	    "DELETE FROM temp.kept;",
	    err);
}

static int
end(struct cw_catalog *c, int ret, struct cw_error *err)
{
	if (ret == 0)
		ret = drop_others(c, err);
	return catalog_end_own(c, true, ret, err);
}

int
cw_catalog_keep_volumes(struct cw_catalog *c, const uint32_t *volumes,
    size_t count, struct cw_error *err)
{
	int ret = begin(c, err);

	for (size_t i = 0; i < count && ret == 0; i++)
		ret = keep(c, volumes[i], err);
	return end(c, ret, err);
}

int
cw_catalog_unpack_volume(
    struct cw_catalog *c, uint32_t volume, struct cw_error *err)
{
	char sql[256];
	int ret = begin(c, err);

	/* All that anything lies in, but this one, stays. */
	(void)sqlite3_snprintf(sizeof(sql), sql,
	    "INSERT INTO temp.kept SELECT volume FROM (SELECT DISTINCT volume"
	    " FROM entry WHERE volume IS NOT NULL UNION SELECT volume FROM part"
	    " UNION SELECT volume FROM superseded) WHERE volume<>%u",
	    volume);
	if (ret == 0)
		ret = catalog_exec(c, sql, err);
	return end(c, ret, err);
}

int
cw_catalog_relabel_volume(
    struct cw_catalog *c, uint32_t from, uint32_t to, struct cw_error *err)
{
	char sql[256];
	int ret;

	(void)sqlite3_snprintf(sizeof(sql), sql,
	    "UPDATE entry SET volume=%u WHERE volume=%u;"
	    "UPDATE part SET volume=%u WHERE volume=%u;"
	    "UPDATE superseded SET volume=%u WHERE volume=%u;",
	    to, from, to, from, to, from);
	ret = cw_catalog_begin(c, err);
	if (ret == 0)
		ret = catalog_exec(c, sql, err);
	return catalog_end_own(c, true, ret, err);
}

int
cw_catalog_each_cut(struct cw_catalog *c,
    int (*each)(void *arg, int64_t dir, const char *name, size_t len),
    void *arg, struct cw_error *err)
{
	sqlite3_stmt *st;
	int got, ret = 0;

	if (catalog_prepare(c, "SELECT DISTINCT dir,name FROM part", &st, err) <
	    0)
		return -1;
	while (ret == 0 && (got = sqlite3_step(st)) != SQLITE_DONE) {
		if (got != SQLITE_ROW) {
			ret = catalog_fail(c, "list parts of files", err);
			break;
		}
		ret = each(arg, sqlite3_column_int64(st, 0),
		    sqlite3_column_blob(st, 1),
		    (size_t)sqlite3_column_bytes(st, 1));
	}
	sqlite3_finalize(st);
	return ret;
}
