/*
 * Apply's last step: the catalog says what the tree now has, in one
 * transaction, with inodes and ctimes as they are on disk, so that a scan of
 * this site finds nothing changed.
 */
#include "base/bytes.h"
#include "base/clock.h"
#include "replica/apply_impl.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The note that tells an apply that it has been committed. */
#define NOTE_KEY "applied"
/* Rows that are put again at a time. */
#define AGAIN_MAX 256u

static void
note_text(const struct apply *a, char out[2 * sizeof(a->in->apply_id) + 1])
{
	cw_hex_encode(a->in->apply_id, sizeof(a->in->apply_id), out);
}

/* Was this apply committed before we were cut off?  1, 0, -1. */
static int
is_committed(struct apply *a, struct cw_error *err)
{
	char want[2 * sizeof(a->in->apply_id) + 1];
	char *text = NULL;
	int got = cw_catalog_note_get(a->r->catalog, NOTE_KEY, &text, err);

	if (got != 0)
		return got < 0 ? -1 : 0;
	note_text(a, want);
	got = strcmp(text, want) == 0;
	free(text);
	return got;
}

static int
stat_row(struct apply *a, const struct row *row, struct stat *st,
    struct cw_error *err)
{
	int fd = -1, got;

	if (strchr(row->path, '/') != NULL) {
		got = cw_place_stat(a->r->place, row->path, st, err);
	} else {
		got = cw_place_open_dir(a->r->place, row->path, &fd, err);
		if (got == 0 && fstat(fd, st) < 0)
			got = cw_error_errno(err, "cannot look at it");
		if (fd >= 0)
			(void)close(fd);
	}
	if (got == 1)
		return cw_error_set(
		    err, CW_ERR_MISSING, "%s is gone", row->path);
	return got;
}

/* The file that a row was linked to has a new ctime, and is in the group. */
static int
note_partner(struct apply *a, const struct row *row, struct cw_error *err)
{
	size_t len = strlen(row->link_to);
	struct cw_entry e;
	struct stat st;
	int got =
	    cw_catalog_lookup_path(a->r->catalog, row->link_to, len, &e, err);

	/* One that comes in with us has not been put yet, or knows. */
	if (got != 0)
		return got < 0 ? -1 : 0;
	got = cw_place_stat(a->r->place, row->link_to, &st, err);
	if (got != 0)
		return got < 0 ? -1 : 0;
	return cw_catalog_note_stat(a->r->catalog, e.dir, e.name, e.name_len,
	    (uint64_t)st.st_ino, cw_time_ns(st.st_ctim), row->e.linkgroup, err);
}

/* st NULL: it is looked at, unless its content lacks. */
static int
put_in(struct apply *a, const struct row *row, int64_t dir,
    const struct stat *st, struct cw_error *err)
{
	struct cw_entry e = row->e;
	struct stat found;

	if (st == NULL && row->plan != PLAN_LACKS) {
		if (stat_row(a, row, &found, err) < 0)
			return -1;
		st = &found;
	}
	e.dir = dir;
	e.ino = st == NULL ? 0 : (uint64_t)st->st_ino;
	e.ctime_ns = st == NULL ? 0 : cw_time_ns(st->st_ctim);
	e.volume = 0;
	e.child = 0;
	/* Numbers are each site's own; names are what counts. */
	if (st != NULL && geteuid() == 0) {
		e.uid = st->st_uid;
		e.gid = st->st_gid;
	}
	if (cw_catalog_put(
		a->r->catalog, &e, a->in->info.generation, NULL, err) < 0)
		return -1;
	return row->plan == PLAN_HARD ? note_partner(a, row, err) : 0;
}

/* The directory that a row's name is in: 0, 1 none. */
static int
find_dir(
    struct apply *a, const struct row *row, int64_t *dir, struct cw_error *err)
{
	size_t len = row->path_len - row->e.name_len;

	return cw_catalog_dir_lookup(
	    a->r->catalog, row->path, len > 0 ? len - 1 : 0, dir, err);
}

static int
no_dir(const struct row *row, struct cw_error *err)
{
	return cw_error_set(err, CW_ERR_FAILED,
	    "the catalog has no directory for %s", row->path);
}

int
apply_put_row(struct apply *a, const struct row *row, const struct stat *st,
    struct cw_error *err)
{
	int64_t dir;
	int got = find_dir(a, row, &dir, err);

	if (got != 0)
		return got < 0 ? -1 : no_dir(row, err);
	return put_in(a, row, dir, st, err);
}

static int
change_row(struct apply *a, const struct row *row, struct cw_error *err)
{
	struct cw_catalog *c = a->r->catalog;
	const struct cw_entry *e = &row->e;
	struct cw_entry old;
	int64_t dir;
	int got = find_dir(a, row, &dir, err);

	/* A removal in a directory that went, too, or never was. */
	if (got == 1 && !row->has_put)
		return 0;
	if (got == 1)
		return no_dir(row, err);
	if (got == 0)
		got =
		    cw_catalog_lookup(c, dir, e->name, e->name_len, &old, err);
	if (got < 0)
		return -1;
	if (got == 0 &&
	    (row->wipe ||
		(old.kind == CW_KIND_DIR) != (e->kind == CW_KIND_DIR)) &&
	    cw_catalog_remove(
		c, dir, e->name, e->name_len, a->in->info.generation, err) < 0)
		return -1;
	return row->has_put ? put_in(a, row, dir, NULL, err) : 0;
}

static int
change_rows(struct apply *a, struct cw_error *err)
{
	struct row_page page = ROW_PAGE_INIT;
	unsigned plans = a->has_files ? ~(unsigned)PLAN_STAGED : 0;
	int ret = 0;

	do {
		if (cw_stop_check(err) < 0 ||
		    rows_next(a->in, &page, plans, false, err) < 0)
			ret = -1;
		for (size_t i = 0; i < page.count && ret == 0; i++)
			ret = change_row(a, &page.rows[i], err);
	} while (ret == 0 && page.count > 0);
	rows_free(&page);
	return ret;
}

/* ---- a replica that was ahead ---- */

struct again {
	struct cw_entry e;
	struct cw_buf bytes;
};

static void
keep(struct again *g, const struct cw_entry *e)
{
	const char *base;

	g->e = *e;
	cw_buf_reset(&g->bytes);
	cw_buf_append(&g->bytes, e->name, e->name_len);
	cw_buf_append(&g->bytes, "", 1);
	if (e->target_len > 0)
		cw_buf_append(&g->bytes, e->target, e->target_len);
	cw_buf_append(&g->bytes, "", 1);
	if (e->attrs_len > 0)
		cw_buf_append(&g->bytes, e->attrs, e->attrs_len);
	base = (const char *)g->bytes.data;
	g->e.name = base;
	if (e->target_len > 0)
		g->e.target = base + e->name_len + 1;
	if (e->attrs_len > 0)
		g->e.attrs = g->bytes.data + e->name_len + e->target_len + 2;
}

/* Puts up to AGAIN_MAX entries of later generations at the target's: their
 * number, 0 if there are none, -1. */
static int
lower_some(struct apply *a, struct again *kept, struct cw_error *err)
{
	struct cw_walk_query q = CW_WALK_ALL;
	struct cw_walk *walk = NULL;
	struct cw_entry e;
	int count = 0, got;

	q.since = a->in->info.generation;
	if (cw_walk_open(a->r->catalog, &q, &walk, err) < 0)
		return -1;
	while ((got = cw_walk_next(walk, &e, err)) == 1) {
		keep(&kept[count++], &e);
		if (count == (int)AGAIN_MAX)
			break;
	}
	cw_walk_close(walk);
	for (int i = 0; i < count && got >= 0; i++) {
		if (cw_catalog_put(a->r->catalog, &kept[i].e,
			a->in->info.generation, NULL, err) < 0)
			got = -1;
	}
	return got < 0 ? -1 : count;
}

/*
 * A replica that was active may be ahead of the source's generations: entries
 * that both have alike are put at the target, and its own deletions, which
 * mean nothing to anybody now, are forgotten.
 */
static int
lower_generations(struct apply *a, uint64_t was, struct cw_error *err)
{
	struct again *kept;
	int got;

	if (was <= a->in->info.generation)
		return 0;
	kept = cw_calloc(AGAIN_MAX, sizeof(*kept));
	do {
		got = lower_some(a, kept, err);
	} while (got > 0 && cw_stop_check(err) == 0);
	if (got > 0)
		got = -1;
	for (size_t i = 0; i < AGAIN_MAX; i++)
		cw_buf_free(&kept[i].bytes);
	free(kept);
	if (got == 0)
		got = cw_catalog_forget_tombstones(a->r->catalog, was, err);
	return got;
}

int
apply_catalog_begin(struct apply *a, struct cw_error *err)
{
	struct cw_catalog *c = a->r->catalog;

	if (a->is_begun)
		return 0;
	if (cw_catalog_begin(c, err) < 0)
		return -1;
	a->is_begun = true;
	a->before = cw_catalog_info(c)->generation;
	cw_catalog_set_generation(c, a->in->info.generation);
	return 0;
}

static int
change_all(struct apply *a, struct cw_error *err)
{
	struct cw_catalog *c = a->r->catalog;
	char text[2 * sizeof(a->in->apply_id) + 1];

	note_text(a, text);
	if (apply_catalog_begin(a, err) < 0)
		return -1;
	if (change_rows(a, err) < 0 ||
	    lower_generations(a, a->before, err) < 0 ||
	    cw_catalog_note_set(c, NOTE_KEY, text, err) < 0)
		goto fail;
	if (a->in->info.epoch != 0)
		cw_catalog_set_epoch(c, a->in->info.epoch);
	if (cw_catalog_commit(c, err) < 0)
		goto fail;
	return 0;
fail:
	cw_catalog_rollback(c);
	return -1;
}

int
apply_catalog(struct apply *a, struct cw_error *err)
{
	uint8_t digest[CW_STATE_SIZE];
	bool known;
	int got = is_committed(a, err);

	cw_place_forget(a->r->place);
	if (got < 0 || (got == 0 && change_all(a, err) < 0))
		return -1;
	if (cw_state_digest(a->r->catalog, digest, &known, err) < 0)
		return -1;
	a->result->generation = cw_catalog_info(a->r->catalog)->generation;
	a->result->is_equal =
	    known && memcmp(digest, a->in->info.digest, sizeof(digest)) == 0;
	return 0;
}
