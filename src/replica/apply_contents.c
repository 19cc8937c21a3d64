/*
 * The contents that an apply needs, and where they come from: files that go,
 * what is in staging, and copies of what stays.
 */
#include "base/clock.h"
#include "base/fs.h"
#include "replica/apply_impl.h"

#include <inttypes.h>
#include <string.h>

static void
read_need(sqlite3_stmt *st, int col, struct need *n)
{
	n->size = (uint64_t)sqlite3_column_int64(st, col);
	n->copies = (uint64_t)sqlite3_column_int64(st, col + 1);
	n->filled = (uint64_t)sqlite3_column_int64(st, col + 2);
	n->donors = (uint64_t)sqlite3_column_int64(st, col + 3);
}

int
need_get(struct apply *a, const uint8_t digest[CW_DIGEST_SIZE],
    struct need *out, struct cw_error *err)
{
	sqlite3_stmt *st = db_stmt(&a->in->db, IN_NEED_GET, err);
	int got;

	if (st == NULL)
		return -1;
	db_bind_bytes(st, 1, digest, CW_DIGEST_SIZE);
	if ((got = db_step(&a->in->db, st, err)) == 1) {
		memcpy(out->digest, digest, CW_DIGEST_SIZE);
		read_need(st, 0, out);
	}
	sqlite3_reset(st);
	return got;
}

int
need_set(struct apply *a, const struct need *need, struct cw_error *err)
{
	sqlite3_stmt *st;

	if (db_begin(&a->in->db, err) < 0 ||
	    (st = db_stmt(&a->in->db, IN_NEED_SET, err)) == NULL)
		return -1;
	db_bind_bytes(st, 1, need->digest, CW_DIGEST_SIZE);
	sqlite3_bind_int64(st, 2, (int64_t)need->filled);
	sqlite3_bind_int64(st, 3, (int64_t)need->donors);
	return db_run(&a->in->db, st, err);
}

int
need_next(struct apply *a, bool begin, bool only_more, struct need *out,
    struct cw_error *err)
{
	sqlite3_stmt *st =
	    db_stmt(&a->in->db, only_more ? IN_NEED_MORE : IN_NEED_NEXT, err);
	int got;

	if (st == NULL)
		return -1;
	db_bind_bytes(st, 1, out->digest, begin ? 0 : CW_DIGEST_SIZE);
	if ((got = db_step(&a->in->db, st, err)) == 1) {
		memcpy(out->digest, sqlite3_column_blob(st, 0), CW_DIGEST_SIZE);
		read_need(st, 1, out);
	}
	sqlite3_reset(st);
	return got;
}

/* The rows of one content, which have to agree on its size. */
static int
set_slots(struct apply *a, const struct need *need, struct cw_error *err)
{
	sqlite3_stmt *rows = db_stmt(&a->in->db, IN_NEED_ROWS, err), *st;
	int64_t slot = 0;
	int got;

	if (rows == NULL)
		return -1;
	db_bind_bytes(rows, 1, need->digest, CW_DIGEST_SIZE);
	while ((got = db_step(&a->in->db, rows, err)) == 1) {
		uint64_t size = (uint64_t)sqlite3_column_int64(rows, 1);

		got = -1;
		if (size != need->size) {
			cw_error_set(err, CW_ERR_FORMAT,
			    "one content is said to be %" PRIu64
			    " bytes and %" PRIu64,
			    need->size, size);
			break;
		}
		if (slot++ == 0)
			continue;
		if ((st = db_stmt(&a->in->db, IN_SLOT_SET, err)) == NULL)
			break;
		sqlite3_bind_int64(st, 1, sqlite3_column_int64(rows, 0));
		sqlite3_bind_int64(st, 2, slot - 1);
		if (db_run(&a->in->db, st, err) < 0)
			break;
	}
	sqlite3_reset(rows);
	return got;
}

int
apply_count_needs(struct apply *a, struct cw_error *err)
{
	sqlite3_stmt *st = db_stmt(&a->in->db, IN_NEED_FILL, err);
	struct need need;
	bool begin = true;
	int got;

	if (st == NULL || db_run(&a->in->db, st, err) < 0)
		return -1;
	while ((got = need_next(a, begin, true, &need, err)) == 1) {
		begin = false;
		if (cw_stop_check(err) < 0 || set_slots(a, &need, err) < 0)
			return -1;
	}
	return got;
}

bool
apply_trusts(const struct cw_entry *e, const struct stat *st)
{
	return S_ISREG(st->st_mode) && (uint64_t)st->st_size == e->size &&
	       st->st_nlink == 1 && e->ino != 0 &&
	       (uint64_t)st->st_ino == e->ino &&
	       cw_time_ns(st->st_ctim) == e->ctime_ns;
}

/* A file that cannot be moved as it is: its content is read. */
static int
take_copy(struct apply *a, const char *path, const struct cw_entry *e,
    struct cw_error *err)
{
	struct cw_error damaged = CW_ERROR_INIT;
	int fd = -1, got = cw_place_open(a->r->place, path, &fd, err);

	if (got != 0)
		return got < 0 ? -1 : 0;
	got = cw_staging_take(a->r->staging, e->digest, e->size, fd, &damaged);
	cw_close(&fd);
	if (got == 0) {
		a->result->copied++;
		a->result->copied_bytes += e->size;
		return 0;
	}
	if (damaged.code == CW_ERR_DAMAGED)
		return incoming_mark_bad(a->in, path, strlen(path), err);
	if (err != NULL)
		*err = damaged;
	return -1;
}

/* A file that goes may have what is needed. */
static int
look_at_donor(
    void *arg, const char *path, const struct cw_entry *e, struct cw_error *err)
{
	struct apply *a = arg;
	struct need need;
	struct stat st;
	int got;

	if (e->kind != CW_KIND_FILE || !e->has_digest)
		return 0;
	got = need_get(a, e->digest, &need, err);
	if (got <= 0 || need.size != e->size || need.donors > 0)
		return got < 0 ? -1 : 0;
	if ((got = cw_staging_has(a->r->staging, e->digest, e->size, err)) != 0)
		return got < 0 ? -1 : 0;
	if ((got = incoming_is_bad(a->in, path, strlen(path), err)) != 0)
		return got < 0 ? -1 : 0;
	if ((got = cw_place_stat(a->r->place, path, &st, err)) != 0)
		return got < 0 ? -1 : 0;
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != e->size)
		return 0;
	if (!apply_trusts(e, &st))
		return take_copy(a, path, e, err);
	need.donors = 1;
	return need_set(a, &need, err);
}

static int
look_at_row(struct apply *a, const struct row *row, struct cw_error *err)
{
	struct cw_entry base;
	int got = apply_base(a, row, &base, err);

	if (got != 0)
		return got < 0 ? -1 : 0;
	return apply_base_goes(row, &base)
		   ? look_at_donor(a, row->path, &base, err)
		   : 0;
}

int
apply_look_at_donors(struct apply *a, struct cw_error *err)
{
	struct cw_buf path = CW_BUF_INIT;
	int64_t id = 0;
	int got;

	while ((got = apply_going_next(a, &id, false, err)) == 1) {
		if (cw_stop_check(err) < 0 ||
		    apply_each_in(a, id, &path, look_at_donor, a, err) < 0) {
			got = -1;
			break;
		}
	}
	cw_buf_free(&path);
	return got < 0 ? -1 : apply_each_row(a, 0, look_at_row, err);
}

/* Nobody has it: its files stand in the catalog alone. */
static int
leave_out(struct apply *a, const struct need *need, struct cw_error *err)
{
	sqlite3_stmt *st = db_stmt(&a->in->db, IN_LACKS_SET, err);

	if (st == NULL)
		return -1;
	db_bind_bytes(st, 1, need->digest, CW_DIGEST_SIZE);
	if (db_run(&a->in->db, st, err) < 0)
		return -1;
	a->result->lacking += (uint64_t)sqlite3_changes64(a->in->db.db);
	if ((st = db_stmt(&a->in->db, IN_NEED_DROP, err)) == NULL)
		return -1;
	db_bind_bytes(st, 1, need->digest, CW_DIGEST_SIZE);
	return db_run(&a->in->db, st, err);
}

/* What no donor has is copied from where it stays, or lacks. */
int
apply_find_contents(struct apply *a, struct cw_error *err)
{
	struct need need;
	bool begin = true;
	int got, found;

	while ((got = need_next(a, begin, false, &need, err)) == 1) {
		begin = false;
		if (cw_stop_check(err) < 0)
			return -1;
		if (need.donors > 0)
			continue;
		found =
		    cw_staging_has(a->r->staging, need.digest, need.size, err);
		if (found == 0) {
			found = incoming_find(
			    a->in, a->r, need.digest, need.size, true, err);
			if (found == 1) {
				a->result->copied++;
				a->result->copied_bytes += need.size;
			}
		}
		if (found < 0)
			return -1;
		a->result->missing += found == 0;
		if (found == 0 && a->partial && leave_out(a, &need, err) < 0)
			return -1;
	}
	return got;
}

int
apply_have(struct apply *a, const uint8_t digest[CW_DIGEST_SIZE], uint64_t size,
    struct cw_error *err)
{
	char name[CW_STAGING_NAME];
	int got = incoming_find(a->in, a->r, digest, size, true, err);

	if (got != 0)
		return got < 0 ? -1 : 0;
	a->result->missing++;
	cw_staging_name(digest, 0, name);
	return cw_error_set(
	    err, CW_ERR_MISSING, "content %.16s is not here any more", name);
}
