/*
 * What lies in which volume: marking, parts of cut files, superseded members.
 */
#include "store/catalog_impl.h"

#include <stdlib.h>
#include <string.h>

/* Superseded members. */

static int
supersede(struct cw_catalog *c, int64_t dir, const char *name, size_t name_len,
    uint32_t volume, struct cw_error *err)
{
	sqlite3_stmt *st = catalog_stmt(c, ST_SUPERSEDE, err);
	struct cw_buf path = CW_BUF_INIT;
	const char *dir_path;
	size_t len;
	int ret;

	if (st == NULL || cw_catalog_dir_path(c, dir, &dir_path, &len, err) < 0)
		return -1;
	cw_buf_append(&path, dir_path, len);
	cw_buf_append(&path, "/", len > 0);
	cw_buf_append(&path, name, name_len);
	sqlite3_bind_int64(st, 1, volume);
	bind_bytes(st, 2, path.data, path.len);
	ret = catalog_run(c, st, err);
	sqlite3_clear_bindings(st);
	cw_buf_free(&path);
	return ret;
}

int
cw_catalog_parts(struct cw_catalog *c, int64_t dir, const char *name,
    size_t len,
    int (*each)(void *arg, uint32_t part, uint32_t parts, uint32_t volume),
    void *arg, struct cw_error *err)
{
	sqlite3_stmt *st = catalog_stmt(c, ST_PART_LIST, err);
	int got, ret = 0;

	if (st == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, dir);
	bind_bytes(st, 2, name, len);
	while (ret == 0 && (got = sqlite3_step(st)) != SQLITE_DONE) {
		int64_t part, parts, volume;

		if (got != SQLITE_ROW)
			ret = catalog_fail(c, "read the parts of a file", err);
		else if (!row_number(st, 1, 1, 999999999, &parts) ||
			 !row_number(st, 0, 1, parts, &part) ||
			 !row_number(st, 2, 1, UINT32_MAX, &volume))
			ret = row_bad(c, "part", dir, err);
		else
			ret = each(arg, (uint32_t)part, (uint32_t)parts,
			    (uint32_t)volume);
	}
	sqlite3_reset(st);
	return ret;
}

struct part_owner {
	struct cw_catalog *c;
	int64_t dir;
	const char *name;
	size_t len;
	bool any;
	struct cw_error *err;
};

static int
supersede_part(void *arg, uint32_t part, uint32_t parts, uint32_t volume)
{
	struct part_owner *p = arg;

	(void)part;
	(void)parts;
	p->any = true;
	return supersede(p->c, p->dir, p->name, p->len, volume, p->err);
}

int
cw_catalog_clear_parts(struct cw_catalog *c, int64_t dir, const char *name,
    size_t len, struct cw_error *err)
{
	struct part_owner p = {c, dir, name, len, false, err};
	sqlite3_stmt *st;

	if (cw_catalog_parts(c, dir, name, len, supersede_part, &p, err) != 0)
		return -1;
	if (!p.any)
		return 0;
	if ((st = catalog_stmt(c, ST_PART_DROP, err)) == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, dir);
	bind_bytes(st, 2, name, len);
	return catalog_run(c, st, err);
}

int
cw_catalog_mark_part(struct cw_catalog *c, int64_t dir, const char *name,
    size_t len, uint32_t part, uint32_t parts, uint32_t volume,
    struct cw_error *err)
{
	sqlite3_stmt *st = catalog_stmt(c, ST_PART_PUT, err);

	if (st == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, dir);
	bind_bytes(st, 2, name, len);
	sqlite3_bind_int64(st, 3, part);
	sqlite3_bind_int64(st, 4, parts);
	sqlite3_bind_int64(st, 5, volume);
	return catalog_run(c, st, err);
}

/* The volumes of a file's parts, by their number. */
struct part_list {
	uint32_t *volumes;
	uint32_t count, parts;
};

static int
list_part(void *arg, uint32_t part, uint32_t parts, uint32_t volume)
{
	struct part_list *l = arg;

	l->volumes = cw_reallocarray(
	    l->volumes, (size_t)l->count + 1, sizeof(*l->volumes));
	l->volumes[l->count++] = volume;
	l->parts = parts;
	return part == l->count ? 0 : 1;
}

int
cw_catalog_put_cut(struct cw_catalog *c, const struct cw_entry *e,
    uint64_t generation, struct cw_error *err)
{
	struct part_list l = {NULL, 0, 0};
	sqlite3_stmt *st;
	int ret;

	ret = cw_catalog_parts(
	    c, e->dir, e->name, e->name_len, list_part, &l, err);
	if (ret == 1 || (ret == 0 && l.count != l.parts))
		ret = cw_error_set(
		    err, CW_ERR_FAILED, "a part of a packed file is missing");
	if (ret < 0 || (st = catalog_stmt(c, ST_PART_DROP, err)) == NULL) {
		ret = -1;
		goto out;
	}
	/* Not as superseded: who reads the seed passes those over. */
	sqlite3_bind_int64(st, 1, e->dir);
	bind_bytes(st, 2, e->name, e->name_len);
	ret = catalog_run(c, st, err);
	if (ret == 0)
		ret = cw_catalog_put(c, e, generation, NULL, err);
	for (uint32_t i = 0; i < l.count && ret == 0; i++)
		ret = cw_catalog_mark_part(c, e->dir, e->name, e->name_len,
		    i + 1, l.parts, l.volumes[i], err);
out:
	free(l.volumes);
	return ret;
}

/* What the seed holds of this row describes it no longer. */
int
catalog_unpack(
    struct cw_catalog *c, const struct cw_entry *old, struct cw_error *err)
{
	if (old->volume != 0 && supersede(c, old->dir, old->name, old->name_len,
				    old->volume, err) < 0)
		return -1;
	if (old->kind != CW_KIND_FILE)
		return 0;
	return cw_catalog_clear_parts(
	    c, old->dir, old->name, old->name_len, err);
}

/*
 * The usual case takes one statement: a file read for the first time whose
 * row is as it was when it was queued.
 */
static int
pack_fresh(struct cw_catalog *c, const struct cw_entry *p, uint32_t volume,
    struct cw_error *err)
{
	sqlite3_stmt *st = catalog_stmt(c, ST_PACK_FILE, err);

	if (st == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, p->dir);
	bind_bytes(st, 2, p->name, p->name_len);
	bind_bytes(st, 3, p->digest, CW_DIGEST_SIZE);
	sqlite3_bind_int64(st, 4, volume);
	sqlite3_bind_int64(st, 5, (int64_t)p->generation);
	sqlite3_bind_int64(st, 6, (int64_t)p->size);
	sqlite3_bind_int64(st, 7, p->mtime_ns);
	sqlite3_bind_int64(st, 8, p->ctime_ns);
	sqlite3_bind_int64(st, 9, (int64_t)p->ino);
	if (catalog_run(c, st, err) < 0)
		return -1;
	if (sqlite3_changes(c->db) == 0)
		return 1;
	c->info.pending--;
	return catalog_sum(c, p, 1, err);
}

/* Does the row still say what the member says? */
static bool
same_member(const struct cw_entry *row, const struct cw_entry *p)
{
	if (row->kind != p->kind || row->generation != p->generation)
		return false;
	if (row->kind != CW_KIND_FILE)
		return true;
	return row->size == p->size && row->mtime_ns == p->mtime_ns &&
	       row->ctime_ns == p->ctime_ns && row->ino == p->ino;
}

/*
 * The content is another than it was, though nothing that stat tells moved: it
 * was written through a mapping, or rotted.  What was packed is what is there.
 */
static int
put_new_content(struct cw_catalog *c, const struct cw_entry *p, uint32_t volume,
    struct cw_error *err)
{
	struct cw_entry fresh = *p;

	fresh.volume = volume;
	cw_catalog_set_generation(c, c->info.generation + 1);
	return cw_catalog_put_cut(c, &fresh, c->info.generation, err);
}

int
cw_catalog_mark_packed(struct cw_catalog *c, const struct cw_entry *packed,
    uint32_t volume, struct cw_error *err)
{
	struct cw_entry row;
	sqlite3_stmt *st;
	int got;

	if (packed->kind == CW_KIND_FILE && packed->has_digest) {
		got = pack_fresh(c, packed, volume, err);
		if (got <= 0)
			return got;
	}
	got = cw_catalog_lookup(
	    c, packed->dir, packed->name, packed->name_len, &row, err);
	if (got < 0)
		return -1;
	if (got == 1 || !same_member(&row, packed) ||
	    (row.volume != 0 && row.volume != volume)) {
		if (supersede(c, packed->dir, packed->name, packed->name_len,
			volume, err) < 0 ||
		    cw_catalog_clear_parts(c, packed->dir, packed->name,
			packed->name_len, err) < 0)
			return -1;
		return 1;
	}
	if (row.kind == CW_KIND_FILE) {
		if (!packed->has_digest)
			return cw_error_set(
			    err, CW_ERR_FAILED, "a packed file has no digest");
		if (row.has_digest &&
		    memcmp(row.digest, packed->digest, CW_DIGEST_SIZE) != 0)
			return put_new_content(c, packed, volume, err);
		got = cw_catalog_set_digest(c, packed, packed->digest, err);
		if (got != 0)
			return got;
	}
	if ((st = catalog_stmt(c, ST_PACK_OTHER, err)) == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, packed->dir);
	bind_bytes(st, 2, packed->name, packed->name_len);
	sqlite3_bind_int64(st, 3, volume);
	return catalog_run(c, st, err);
}

int
cw_catalog_is_superseded(struct cw_catalog *c, uint32_t volume,
    const char *path, size_t len, struct cw_error *err)
{
	sqlite3_stmt *st = catalog_stmt(c, ST_SUPERSEDED, err);
	int got;

	if (st == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, volume);
	bind_bytes(st, 2, path, len);
	got = sqlite3_step(st);
	sqlite3_reset(st);
	if (got == SQLITE_ROW)
		return 1;
	return got == SQLITE_DONE ? 0 : catalog_fail(c, "read", err);
}
