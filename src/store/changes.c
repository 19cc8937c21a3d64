/*
 * Two cursors merged: one over tombstones, one over entries, both in the order
 * (generation, dir, name).  The first generation is in no index (SPEC.md,
 * entry_gen), so its entries come from the table itself, before the others.
 */
#include "store/changes.h"

#include "base/fs.h"
#include "store/catalog_impl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A row that waits for its turn, owned. */
struct head {
	bool is_due; /* to be read */
	bool is_there;
	struct cw_change change; /* without its directory's path */
	struct kept kept;
};

struct cw_changes {
	struct cw_catalog *c;
	bool has_hold;
	/* NULL: not asked for, or at its end. */
	sqlite3_stmt *first, *later, *removals;
	struct head put;
	struct head removal;
	bool awaits_contents, is_cut;
	struct cw_position last; /* behind which the next row has to be */
	struct cw_buf path;
	int64_t path_dir; /* whose path that is, or -1 */
};

/* Where one cursor begins: behind this row. */
struct behind {
	uint64_t generation;
	int64_t dir;
	const char *name;
	size_t name_len;
};

/* Generation 0 was before the first scan; it is told with the first. */
static uint64_t
generation_of(const struct cw_change *change)
{
	return change->e.generation < 1 ? 1 : change->e.generation;
}

int
cw_position_compare(const struct cw_position *a, const struct cw_position *b)
{
	size_t len = a->name_len < b->name_len ? a->name_len : b->name_len;
	int got;

	if (a->generation != b->generation)
		return a->generation < b->generation ? -1 : 1;
	if (a->is_put != b->is_put)
		return a->is_put ? 1 : -1;
	if (a->dir != b->dir)
		return a->dir < b->dir ? -1 : 1;
	got = memcmp(a->name, b->name, len);
	if (got != 0)
		return got < 0 ? -1 : 1;
	return (a->name_len > b->name_len) - (a->name_len < b->name_len);
}

void
cw_change_position(const struct cw_change *change, struct cw_position *out)
{
	*out = (struct cw_position){
	    .generation = generation_of(change),
	    .is_put = !change->is_removal,
	    .dir = change->dir,
	    .name_len = change->e.name_len,
	};
	memcpy(out->name, change->e.name, change->e.name_len);
}

/* Where the cursor over puts or over removals goes on. */
static struct behind
find_begin(const struct cw_position *after, uint64_t since, bool is_put)
{
	struct behind b = {since, INT64_MAX, "", 0};

	if (after == NULL || after->generation <= since)
		return b;
	if (after->is_put == is_put) {
		b.generation = after->generation;
		b.dir = after->dir;
		b.name = after->name;
		b.name_len = after->name_len;
	} else if (after->is_put) {
		b.generation = after->generation; /* its removals are past */
	} else {
		b.generation = after->generation - 1;
	}
	return b;
}

static int
open_cursor(struct cw_changes *s, enum stmt which, const struct behind *b,
    sqlite3_stmt **out, struct cw_error *err)
{
	if ((*out = catalog_stmt_take(s->c, which, err)) == NULL)
		return -1;
	sqlite3_bind_int64(*out, 1, (int64_t)b->generation);
	sqlite3_bind_int64(*out, 2, b->dir);
	/* The position may be gone before the first step. */
	sqlite3_bind_blob64(*out, 3, b->name, b->name_len, SQLITE_TRANSIENT);
	return 0;
}

static void
end_cursor(struct cw_changes *s, enum stmt which, sqlite3_stmt **st)
{
	if (*st != NULL)
		catalog_stmt_return(s->c, which, *st);
	*st = NULL;
}

static bool
is_unread(const struct cw_entry *e)
{
	return e->kind == CW_KIND_FILE && !e->has_digest;
}

static int
load_put(struct cw_changes *s, struct cw_error *err)
{
	struct head *h = &s->put;
	struct cw_entry e;

	h->is_there = h->is_due = false;
	while (s->first != NULL || s->later != NULL) {
		sqlite3_stmt **st = s->first != NULL ? &s->first : &s->later;
		int got = sqlite3_step(*st);

		if (got == SQLITE_ROW) {
			if (row_read(s->c, *st, &e, err) < 0)
				return -1;
			if (is_unread(&e) && !s->awaits_contents)
				continue;
			kept_take(&h->kept, &e);
			h->change = (struct cw_change){
			    .kind = e.kind, .dir = e.dir, .e = h->kept.e};
			h->is_there = true;
			return 0;
		}
		if (got != SQLITE_DONE)
			return catalog_fail(s->c, "read what changed", err);
		end_cursor(s,
		    st == &s->first ? ST_CHANGES_FIRST : ST_CHANGES_LATER, st);
	}
	return 0;
}

static int
load_removal(struct cw_changes *s, struct cw_error *err)
{
	sqlite3_stmt *st = s->removals;
	struct head *h = &s->removal;
	struct cw_entry e = CW_ENTRY_INIT;
	const unsigned char *kind;
	int64_t generation;
	int got;

	h->is_there = h->is_due = false;
	if (st == NULL)
		return 0;
	got = sqlite3_step(st);
	if (got == SQLITE_DONE) {
		end_cursor(s, ST_CHANGES_GONE, &s->removals);
		return 0;
	}
	if (got != SQLITE_ROW)
		return catalog_fail(s->c, "read deletions", err);
	e.name = sqlite3_column_blob(st, 1);
	e.name_len = (size_t)sqlite3_column_bytes(st, 1);
	kind = sqlite3_column_text(st, 2);
	if (!row_number(st, 0, 0, INT64_MAX - 1, &e.dir) || e.name == NULL ||
	    e.name_len > CW_ENTRY_NAME_MAX ||
	    !cw_name_is_safe(e.name, e.name_len) || kind == NULL ||
	    sqlite3_column_bytes(st, 2) != 1 ||
	    (kind[0] != 'f' && kind[0] != 'd' && kind[0] != 'l') ||
	    !row_number(st, 3, 0, INT64_MAX, &generation))
		return cw_error_set(err, CW_ERR_DAMAGED,
		    "catalog %s has a malformed deletion", s->c->path);
	e.kind = (enum cw_kind)kind[0];
	e.generation = (uint64_t)generation;
	kept_take(&h->kept, &e);
	h->change = (struct cw_change){
	    .is_removal = true, .kind = e.kind, .dir = e.dir, .e = h->kept.e};
	h->is_there = true;
	return 0;
}

int
cw_changes_open(struct cw_catalog *c, uint64_t since,
    const struct cw_position *after, struct cw_changes **out,
    struct cw_error *err)
{
	struct cw_changes *s = cw_calloc(1, sizeof(*s));
	struct behind puts, removals;

	*out = NULL;
	s->c = c;
	s->path_dir = -1;
	s->put.is_due = s->removal.is_due = true;
	/* Numbers of rows are signed; there is nothing behind the last. */
	if (since > INT64_MAX)
		since = INT64_MAX;
	if (after != NULL &&
	    (after->name_len > CW_ENTRY_NAME_MAX ||
		after->generation > INT64_MAX || after->dir < 0)) {
		cw_error_set(err, CW_ERR_FAILED,
		    "a position in the changes is malformed");
		goto fail;
	}
	if (after != NULL)
		s->last = *after;
	puts = find_begin(after, since, true);
	removals = find_begin(after, since, false);
	if (catalog_hold_own(c, &s->has_hold, err) < 0 ||
	    (s->has_hold && cw_catalog_refresh(c, err) < 0))
		goto fail;
	if (since == 0 && (after == NULL || after->generation <= 1)) {
		struct behind start = {0, -1, "", 0};

		if (after != NULL && after->generation == 1 && after->is_put)
			start = puts;
		if (open_cursor(s, ST_CHANGES_FIRST, &start, &s->first, err) <
		    0)
			goto fail;
	}
	if (open_cursor(s, ST_CHANGES_LATER, &puts, &s->later, err) < 0 ||
	    open_cursor(s, ST_CHANGES_GONE, &removals, &s->removals, err) < 0)
		goto fail;
	*out = s;
	return 0;
fail:
	cw_changes_close(s);
	return -1;
}

/*
 * An index that does not agree with its table could lead round in a circle,
 * from one opening to the next.
 */
static int
check_order(
    struct cw_changes *s, const struct cw_change *out, struct cw_error *err)
{
	struct cw_position at;

	cw_change_position(out, &at);
	if (cw_position_compare(&s->last, &at) >= 0)
		return cw_error_set(err, CW_ERR_DAMAGED,
		    "catalog %s has an index that is wrong", s->c->path);
	s->last = at;
	return 0;
}

/* The path, copied: what the caller looks up must not take it away. */
static int
find_path(struct cw_changes *s, struct cw_change *out, struct cw_error *err)
{
	const char *path;
	size_t len;

	if (s->path_dir != out->dir) {
		s->path_dir = -1;
		if (cw_catalog_dir_path(s->c, out->dir, &path, &len, err) < 0)
			return -1;
		cw_buf_reset(&s->path);
		cw_buf_append(&s->path, path, len);
		s->path_dir = out->dir;
	}
	out->dir_path = cw_buf_string(&s->path);
	out->dir_path_len = s->path.len;
	if (s->path.len + 1 + out->e.name_len > CW_PATH_MAX)
		return cw_error_set(err, CW_ERR_DAMAGED,
		    "catalog %s has a path that is too long in directory "
		    "%" PRId64,
		    s->c->path, out->dir);
	return 0;
}

int
cw_changes_next(
    struct cw_changes *s, struct cw_change *out, struct cw_error *err)
{
	struct head *h = &s->put;

	/* What was given out last stayed for the caller until now. */
	if ((s->put.is_due && load_put(s, err) < 0) ||
	    (s->removal.is_due && load_removal(s, err) < 0))
		return -1;
	if (s->removal.is_there &&
	    (!s->put.is_there || generation_of(&s->removal.change) <=
				     generation_of(&s->put.change)))
		h = &s->removal;
	if (!h->is_there)
		return 0;
	s->is_cut = !h->change.is_removal && is_unread(&h->change.e);
	if (s->is_cut)
		return 0;
	*out = h->change;
	if (check_order(s, out, err) < 0 || find_path(s, out, err) < 0)
		return -1;
	h->is_due = true;
	return 1;
}

void
cw_changes_await_contents(struct cw_changes *s)
{
	s->awaits_contents = true;
}

bool
cw_changes_is_cut(const struct cw_changes *s)
{
	return s->is_cut;
}

void
cw_changes_close(struct cw_changes *s)
{
	if (s == NULL)
		return;
	end_cursor(s, ST_CHANGES_FIRST, &s->first);
	end_cursor(s, ST_CHANGES_LATER, &s->later);
	end_cursor(s, ST_CHANGES_GONE, &s->removals);
	if (s->has_hold)
		cw_catalog_release(s->c);
	kept_free(&s->put.kept);
	kept_free(&s->removal.kept);
	cw_buf_free(&s->path);
	free(s);
}
