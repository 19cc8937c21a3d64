/*
 * Where contents are found at home, and which are not.
 */
#include "base/fs.h"
#include "replica/incoming_impl.h"
#include "replica/replica.h"
#include "store/contents.h"

#include <string.h>

void
incoming_bad_kept(
    const uint8_t digest[CW_DIGEST_SIZE], uint8_t key[BAD_KEPT_SIZE])
{
	/* No path begins with a NUL. */
	key[0] = 0;
	memcpy(key + 1, digest, CW_DIGEST_SIZE);
}

int
incoming_mark_bad(
    struct cw_incoming *in, const void *key, size_t len, struct cw_error *err)
{
	sqlite3_stmt *st;

	if (db_begin(&in->db, err) < 0 ||
	    (st = db_stmt(&in->db, IN_BAD_PUT, err)) == NULL)
		return -1;
	db_bind_bytes(st, 1, key, len);
	in->has_bad = true;
	return db_run(&in->db, st, err);
}

int
incoming_is_bad(
    struct cw_incoming *in, const void *key, size_t len, struct cw_error *err)
{
	sqlite3_stmt *st;
	int got;

	if (!in->has_bad)
		return 0;
	if ((st = db_stmt(&in->db, IN_BAD_HAS, err)) == NULL)
		return -1;
	db_bind_bytes(st, 1, key, len);
	got = db_step(&in->db, st, err);
	sqlite3_reset(st);
	return got;
}

struct search {
	struct cw_incoming *in;
	struct cw_replica *r;
	const uint8_t *digest;
	uint64_t size;
	bool take;
	struct cw_error *err;
	struct cw_buf path;
};

/* A file that should have it: 1 it is (or was taken), 0 no, -1. */
static int
try_file(struct search *s, int fd, const void *key, size_t key_len)
{
	struct cw_error damaged = CW_ERROR_INIT;

	if (cw_staging_take(s->r->staging, s->digest, s->size, fd, &damaged) ==
	    0)
		return 1;
	if (damaged.code != CW_ERR_DAMAGED) {
		if (s->err != NULL)
			*s->err = damaged;
		return -1;
	}
	return incoming_mark_bad(s->in, key, key_len, s->err);
}

/* Each entry that should have it; 1 ends the search: found. */
static int
try_entry(void *arg, const struct cw_entry *e)
{
	struct search *s = arg;
	struct cw_replica *r = s->r;
	struct stat st;
	const char *dir;
	size_t len;
	int got, fd = -1;

	if (e->size != s->size)
		return 0;
	if (cw_catalog_dir_path(r->catalog, e->dir, &dir, &len, s->err) < 0)
		return -1;
	cw_buf_reset(&s->path);
	cw_buf_append(&s->path, dir, len);
	cw_buf_append(&s->path, "/", 1);
	cw_buf_append(&s->path, e->name, e->name_len);
	cw_buf_string(&s->path);
	got = incoming_is_bad(s->in, s->path.data, s->path.len, s->err);
	if (got != 0)
		return got < 0 ? -1 : 0;
	if (!s->take) {
		got = cw_place_stat(
		    r->place, (const char *)s->path.data, &st, s->err);
		if (got != 0)
			return got < 0 ? -1 : 0;
		return S_ISREG(st.st_mode) && (uint64_t)st.st_size == s->size;
	}
	got = cw_place_open(r->place, (const char *)s->path.data, &fd, s->err);
	if (got != 0)
		return got < 0 ? -1 : 0;
	got = fstat(fd, &st) == 0 && (uint64_t)st.st_size == s->size
		  ? try_file(s, fd, s->path.data, s->path.len)
		  : 0;
	cw_close(&fd);
	return got;
}

static int
try_history(struct search *s)
{
	uint8_t key[BAD_KEPT_SIZE];
	int fd = -1, got;

	incoming_bad_kept(s->digest, key);
	got = incoming_is_bad(s->in, key, sizeof(key), s->err);
	if (got != 0)
		return got < 0 ? -1 : 0;
	got = cw_history_find(s->r->history, s->digest, s->size, &fd, s->err);
	if (got != 0)
		return got < 0 ? -1 : 0;
	got = s->take ? try_file(s, fd, key, sizeof(key)) : 1;
	cw_close(&fd);
	return got;
}

int
incoming_find(struct cw_incoming *in, struct cw_replica *r,
    const uint8_t digest[CW_DIGEST_SIZE], uint64_t size, bool take,
    struct cw_error *err)
{
	struct search s = {in, r, digest, size, take, err, CW_BUF_INIT};
	int got = cw_staging_has(r->staging, digest, size, err);

	if (got == 0 && size == 0)
		got = !take ? 1
		      : cw_staging_put(r->staging, digest, "", 0, NULL, err) < 0
			  ? -1
			  : 1;
	if (got == 0)
		got = cw_catalog_each_content(
		    r->catalog, digest, try_entry, &s, err);
	if (got == 0)
		got = try_history(&s);
	cw_buf_free(&s.path);
	return got;
}

int
cw_incoming_lacks(struct cw_incoming *in, struct cw_replica *r,
    const struct cw_change *ch, struct cw_error *err)
{
	int got;

	if (ch->is_removal || ch->e.kind != CW_KIND_FILE || !ch->e.has_digest)
		return 0;
	got = incoming_find(in, r, ch->e.digest, ch->e.size, false, err);
	return got < 0 ? -1 : got == 0;
}

/* Fills has_base: the other version of a file that grew, most likely. */
static int
look_at_base(struct cw_replica *r, struct cw_want *want, struct cw_error *err)
{
	struct stat st;
	int got = cw_place_stat(r->place, want->path, &st, err);

	want->has_base = got == 0 && S_ISREG(st.st_mode);
	want->base_size = want->has_base ? (uint64_t)st.st_size : 0;
	return got < 0 ? -1 : 0;
}

/* From the columns of IN_WANT behind the path. */
static void
read_look(struct cw_incoming *in, struct cw_replica *r, sqlite3_stmt *st,
    struct cw_look *out)
{
	struct cw_entry e = CW_ENTRY_INIT;
	struct cw_buf *names = &in->want_names;
	size_t user, group, len;

	cw_buf_reset(names);
	e.mode = (uint32_t)sqlite3_column_int64(st, 6);
	e.uid = (uint32_t)sqlite3_column_int64(st, 7);
	e.gid = (uint32_t)sqlite3_column_int64(st, 8);
	user = db_read_bytes(st, 9, &len, names);
	group = db_read_bytes(st, 10, &len, names);
	e.mtime_ns = sqlite3_column_int64(st, 11);
	e.user = (const char *)names->data + user;
	e.group = (const char *)names->data + group;
	cw_place_look(r->place, &e, out);
}

/* The row behind the cursor: 1, 0 none. */
static int
next_row(struct cw_incoming *in, struct cw_replica *r,
    struct cw_want_cursor *at, struct cw_want *out, struct cw_error *err)
{
	sqlite3_stmt *st = db_stmt(&in->db, IN_WANT, err);
	int got;

	if (st == NULL)
		return -1;
	sqlite3_bind_int64(st, 1, at->wish);
	sqlite3_bind_int64(st, 2, at->key);
	sqlite3_bind_int64(st, 3, at->row);
	got = db_step(&in->db, st, err);
	if (got <= 0)
		return got;
	if (at->skips_come && sqlite3_column_int64(st, 0) == WISH_HAS_COME) {
		sqlite3_reset(st);
		return 0;
	}
	at->wish = sqlite3_column_int64(st, 0);
	at->key = sqlite3_column_int64(st, 1);
	at->row = sqlite3_column_int64(st, 2);
	*out = (struct cw_want){0};
	memcpy(out->digest, sqlite3_column_blob(st, 3), CW_DIGEST_SIZE);
	out->size = (uint64_t)sqlite3_column_int64(st, 4);
	cw_buf_reset(&in->want_path);
	cw_buf_append(&in->want_path, sqlite3_column_blob(st, 5),
	    (size_t)sqlite3_column_bytes(st, 5));
	out->path = cw_buf_string(&in->want_path);
	out->path_len = in->want_path.len;
	read_look(in, r, st, &out->look);
	sqlite3_reset(st);
	return 1;
}

/* The first row of a content speaks for all of them. */
static int
is_first(struct cw_incoming *in, const uint8_t digest[CW_DIGEST_SIZE],
    int64_t id, struct cw_error *err)
{
	sqlite3_stmt *st = db_stmt(&in->db, IN_ROW_FIRST, err);
	int got;

	if (st == NULL)
		return -1;
	db_bind_bytes(st, 1, digest, CW_DIGEST_SIZE);
	got = db_step(&in->db, st, err);
	if (got == 1)
		got = sqlite3_column_int64(st, 0) == id;
	sqlite3_reset(st);
	return got;
}

int
cw_incoming_next_want(struct cw_incoming *in, struct cw_replica *r,
    struct cw_want_cursor *at, struct cw_want *out, struct cw_error *err)
{
	int got;

	while ((got = next_row(in, r, at, out, err)) == 1) {
		got = is_first(in, out->digest, at->row, err);
		if (got < 0)
			return -1;
		if (got == 0)
			continue;
		got = incoming_find(in, r, out->digest, out->size, false, err);
		if (got < 0)
			return -1;
		if (got == 0)
			return look_at_base(r, out, err) < 0 ? -1 : 1;
	}
	return got;
}

int
cw_incoming_count_wants(struct cw_incoming *in, struct cw_replica *r,
    uint64_t *contents, uint64_t *bytes, struct cw_error *err)
{
	struct cw_want_cursor at = {0};
	struct cw_want want;
	int got;

	*contents = *bytes = 0;
	while ((got = cw_incoming_next_want(in, r, &at, &want, err)) == 1) {
		(*contents)++;
		*bytes += want.size;
	}
	return got;
}
