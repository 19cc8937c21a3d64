/*
 * Listings: what differs between a directory of the source and ours.
 */
#include "base/fs.h"
#include "replica/incoming_impl.h"
#include "replica/replica.h"

#include <string.h>

int
cw_incoming_list_begin(struct cw_incoming *in, const char *dir_path, size_t len,
    struct cw_error *err)
{
	if (incoming_refuse_applying(in, err) < 0)
		return -1;
	if (in->info.stage == CW_INCOMING_EMPTY)
		return cw_error_set(err, CW_ERR_REFUSED,
		    "a listing came before the begin of a comparison");
	if (len > CW_PATH_MAX || (len > 0 && !cw_path_is_safe(dir_path, len)))
		return cw_error_set(
		    err, CW_ERR_FORMAT, "a listing has a malformed path");
	if (db_begin(&in->db, err) < 0 ||
	    db_exec(&in->db, "DELETE FROM listing", err) < 0)
		return -1;
	cw_buf_reset(&in->list_dir);
	cw_buf_append(&in->list_dir, dir_path, len);
	cw_buf_string(&in->list_dir);
	in->is_listing = true;
	return 0;
}

static bool
same_bytes(const void *a, size_t a_len, const void *b, size_t b_len)
{
	return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0);
}

static bool
same_text(const char *a, const char *b)
{
	return strcmp(a == NULL ? "" : a, b == NULL ? "" : b) == 0;
}

/* By name; where there is none, the number is all that there is. */
static bool
same_owners(const struct cw_entry *a, const struct cw_entry *b)
{
	return same_text(a->user, b->user) && same_text(a->group, b->group) &&
	       (!same_text(a->user, NULL) || a->uid == b->uid) &&
	       (!same_text(a->group, NULL) || a->gid == b->gid);
}

/* All that the state digest counts, and owners without a name. */
static bool
same_entry(const struct cw_entry *a, const struct cw_entry *b)
{
	if (a->kind != b->kind || a->mode != b->mode || !same_owners(a, b) ||
	    !same_bytes(a->attrs, a->attrs_len, b->attrs, b->attrs_len))
		return false;
	if (a->kind == CW_KIND_DIR)
		return true;
	if (a->mtime_ns != b->mtime_ns)
		return false;
	if (a->kind == CW_KIND_SYMLINK)
		return same_bytes(
		    a->target, a->target_len, b->target, b->target_len);
	return a->size == b->size && a->has_digest && b->has_digest &&
	       memcmp(a->digest, b->digest, CW_DIGEST_SIZE) == 0;
}

/* Is there in the tree what our catalog says?  1, 0, -1. */
static int
is_in_tree(struct cw_replica *r, const char *path, const struct cw_entry *e,
    struct cw_error *err)
{
	struct stat st;
	int got;

	/* A root is there, or nothing is. */
	if (e->kind == CW_KIND_DIR && strchr(path, '/') == NULL)
		return 1;
	if ((got = cw_place_stat(r->place, path, &st, err)) != 0)
		return got < 0 ? -1 : 0;
	if (e->kind == CW_KIND_DIR)
		return S_ISDIR(st.st_mode);
	if (e->kind == CW_KIND_SYMLINK)
		return S_ISLNK(st.st_mode);
	return S_ISREG(st.st_mode) && (uint64_t)st.st_size == e->size;
}

int
cw_incoming_list_add(struct cw_incoming *in, struct cw_replica *r,
    const struct cw_change *ch, struct cw_error *err)
{
	struct cw_entry own;
	sqlite3_stmt *st;
	int64_t dir;
	int got;

	if (!in->is_listing || ch->is_removal ||
	    !same_bytes(ch->dir_path, ch->dir_path_len, in->list_dir.data,
		in->list_dir.len))
		return incoming_bad_change(ch, "place in a listing", err);
	if (incoming_check(in, ch, err) < 0 ||
	    (st = db_stmt(&in->db, IN_LIST_PUT, err)) == NULL)
		return -1;
	db_bind_bytes(st, 1, ch->e.name, ch->e.name_len);
	if (db_run(&in->db, st, err) < 0)
		return -1;
	got = cw_catalog_dir_lookup(
	    r->catalog, ch->dir_path, ch->dir_path_len, &dir, err);
	if (got == 0)
		got = cw_catalog_lookup(
		    r->catalog, dir, ch->e.name, ch->e.name_len, &own, err);
	if (got < 0)
		return -1;
	if (got == 0 && same_entry(&own, &ch->e)) {
		incoming_join(in, ch);
		got = is_in_tree(r, (const char *)in->path.data, &own, err);
		if (got < 0)
			return -1;
		if (got == 1)
			return incoming_drop(in, err);
	}
	return cw_incoming_add(in, ch, err);
}

/* Removes what our catalog has in the directory and the listing has not. */
static int
remove_unlisted(struct cw_incoming *in, struct cw_replica *r, int64_t dir,
    struct cw_error *err)
{
	struct cw_walk_query q = CW_WALK_ALL;
	struct cw_walk *walk = NULL;
	struct cw_entry e;
	int got;

	q.dir = dir;
	if (cw_walk_open(r->catalog, &q, &walk, err) < 0)
		return -1;
	while ((got = cw_walk_next(walk, &e, err)) == 1) {
		struct cw_change ch = {.is_removal = true,
		    .kind = e.kind,
		    .dir_path = (const char *)in->list_dir.data,
		    .dir_path_len = in->list_dir.len,
		    .e = e};
		sqlite3_stmt *st = db_stmt(&in->db, IN_LIST_HAS, err);

		if (st == NULL) {
			got = -1;
			break;
		}
		db_bind_bytes(st, 1, e.name, e.name_len);
		got = db_step(&in->db, st, err);
		sqlite3_reset(st);
		if (got == 0)
			got = cw_incoming_add(in, &ch, err);
		if (got < 0)
			break;
	}
	cw_walk_close(walk);
	return got < 0 ? -1 : 0;
}

int
cw_incoming_list_end(
    struct cw_incoming *in, struct cw_replica *r, struct cw_error *err)
{
	int64_t dir;
	int got;

	if (!in->is_listing)
		return cw_error_set(
		    err, CW_ERR_REFUSED, "no listing was begun");
	in->is_listing = false;
	got = cw_catalog_dir_lookup(r->catalog, (const char *)in->list_dir.data,
	    in->list_dir.len, &dir, err);
	if (got < 0 || (got == 0 && remove_unlisted(in, r, dir, err) < 0))
		return -1;
	return db_exec(&in->db, "DELETE FROM listing", err);
}
