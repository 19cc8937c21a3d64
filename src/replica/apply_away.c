/*
 * Apply's second step: takes away what goes.  Nothing is put in place yet, so
 * whatever is found at a path is old: gone through again after a crash, what is
 * gone already is passed over.
 */
#include "replica/apply_batch.h"

#include <stdlib.h>
#include <string.h>

/* The files and symlinks of a directory that goes. */
static int
add_known(
    void *arg, const char *path, const struct cw_entry *e, struct cw_error *err)
{
	return e->kind == CW_KIND_DIR ? 0 : batch_add(arg, path, e, true, err);
}

static int
empty_dirs(struct batch *b, struct cw_error *err)
{
	struct cw_buf path = CW_BUF_INIT;
	int64_t id = 0;
	int got;

	while ((got = apply_going_next(b->a, &id, false, err)) == 1) {
		if (apply_each_in(b->a, id, &path, add_known, b, err) < 0) {
			got = -1;
			break;
		}
	}
	cw_buf_free(&path);
	return got;
}

/* The entries under the rows themselves, but for directories. */
static int
take_rows(struct batch *b, struct cw_error *err)
{
	struct row_page page = ROW_PAGE_INIT;
	struct cw_entry base;
	int ret = 0;

	if (b->a->is_first)
		return 0;
	do {
		if (rows_next(b->a->in, &page, 0, false, err) < 0)
			ret = -1;
		for (size_t i = 0; i < page.count && ret == 0; i++) {
			const struct row *row = &page.rows[i];
			int got = apply_base(b->a, row, &base, err);

			/* Those of a directory that goes are away. */
			if (got == 0)
				got = apply_is_going(b->a, base.dir, err);
			if (got < 0)
				ret = -1;
			if (got != 0 || base.kind == CW_KIND_DIR ||
			    !apply_base_goes(row, &base))
				continue;
			ret = batch_add(b, row->path, &base, true, err);
		}
	} while (ret == 0 && page.count > 0);
	rows_free(&page);
	return ret;
}

/* Up to a batch of directories that go, before *id; their rows durable. */
static int
note_dirs(struct apply *a, int64_t *id, char *paths[BATCH], size_t *count,
    struct cw_error *err)
{
	struct cw_catalog *c = a->r->catalog;
	int got = 0;

	*count = 0;
	while (
	    *count < BATCH && (got = apply_going_next(a, id, true, err)) == 1) {
		const char *path;
		struct cw_entry e;
		int64_t n;
		size_t len;

		if (cw_catalog_dir_path(c, *id, &path, &len, err) < 0)
			return -1;
		path = paths[(*count)++] = cw_asprintf("%.*s", (int)len, path);
		if (cw_catalog_lookup_path(c, path, len, &e, err) < 0 ||
		    cw_history_note(a->r->history, &a->shelf, path, len, &e,
			false, &n, err) < 0)
			return -1;
	}
	return got < 0 ? -1 : cw_history_commit(a->r->history, err);
}

/* Directories, those made last first: what is in one has a greater id. */
static int
remove_dirs(struct batch *b, struct cw_error *err)
{
	char *paths[BATCH];
	int64_t id = INT64_MAX;
	size_t count;
	int ret = 0;

	do {
		ret = note_dirs(b->a, &id, paths, &count, err);
		for (size_t i = 0; i < count && ret == 0; i++) {
			/* A root stays: it is where the operator put it. */
			ret = batch_empty_tree(
			    b, paths[i], strchr(paths[i], '/') != NULL, err);
			b->a->result->removed++;
		}
		for (size_t i = 0; i < count; i++)
			free(paths[i]);
	} while (ret == 0 && count > 0);
	return ret;
}

/* Is it in the directory that was seen last not to be there? */
static bool
is_in(const struct row *row, const struct cw_buf *absent)
{
	return absent->len > 0 && absent->len < row->path_len &&
	       memcmp(row->path, absent->data, absent->len) == 0;
}

/* 1 something is at a row's path, 0 nothing, -1. */
static int
is_taken(struct apply *a, const struct row *row, struct stat *st,
    struct cw_buf *absent, struct cw_error *err)
{
	const char *name;
	int dirfd, got;

	if (is_in(row, absent))
		return 0;
	if ((got = cw_place_stat(a->r->place, row->path, st, err)) != 1)
		return got < 0 ? -1 : 1;
	got = cw_place_parent(a->r->place, row->path, &dirfd, &name, err);
	if (got == 1) {
		name = strrchr(row->path, '/');
		cw_buf_reset(absent);
		cw_buf_append(
		    absent, row->path, (size_t)(name - row->path) + 1);
	}
	return got < 0 ? -1 : 0;
}

/* What stands where something comes or goes, and is not ours. */
static int
clear_rows(struct batch *b, struct cw_error *err)
{
	struct row_page page = ROW_PAGE_INIT;
	struct cw_buf absent = CW_BUF_INIT;
	struct stat st;
	int ret = 0, got;

	do {
		if (rows_next(b->a->in, &page, 0, false, err) < 0)
			ret = -1;
		for (size_t i = 0; i < page.count && ret == 0; i++) {
			const struct row *row = &page.rows[i];

			if (row->plan == PLAN_STAY ||
			    strchr(row->path, '/') == NULL)
				continue;
			got = is_taken(b->a, row, &st, &absent, err);
			if (got < 0)
				ret = -1;
			if (got != 1 || (row->plan == PLAN_DIR && !row->wipe &&
					    S_ISDIR(st.st_mode)))
				continue;
			ret = batch_put_aside(b, row->path, err);
		}
	} while (ret == 0 && page.count > 0);
	rows_free(&page);
	cw_buf_free(&absent);
	return ret < 0 ? -1 : batch_flush(b, err);
}

/*
 * All that comes is in staging now: what was there when we planned, what files
 * that went had, and now further copies of what several need.
 */
static int
make_slots(struct apply *a, struct cw_error *err)
{
	struct need need;
	bool begin = true;
	int got;

	while ((got = need_next(a, begin, true, &need, err)) == 1) {
		begin = false;
		if (apply_have(a, need.digest, need.size, err) < 0)
			return -1;
		for (uint64_t k = 1; k < need.copies; k++) {
			got = cw_staging_has_slot(
			    a->r->staging, need.digest, k, need.size, err);
			if (got == 0)
				got = cw_staging_make_slot(a->r->staging,
				    need.digest, k, need.size, err);
			if (got < 0 || cw_stop_check(err) < 0)
				return -1;
		}
	}
	return got;
}

int
apply_away(struct apply *a, struct cw_error *err)
{
	struct batch b = {.a = a};
	int ret = -1;

	cw_progress_start(a->progress, "taking away", 0, 0);
	/* Files first, so that what is left in directories is not ours. */
	if (empty_dirs(&b, err) == 0 && take_rows(&b, err) == 0 &&
	    batch_flush(&b, err) == 0 && remove_dirs(&b, err) == 0 &&
	    clear_rows(&b, err) == 0 && make_slots(a, err) == 0)
		ret = 0;
	batch_drop(&b);
	free(b.at);
	return ret;
}
